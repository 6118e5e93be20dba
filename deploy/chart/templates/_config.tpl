{{/* The configuration file: what the chart knows, and over it what the values say. */}}
{{- define "angarium.config" -}}
{{- $name := include "angarium.fullname" . -}}
{{- $host := .Values.listenHost -}}
{{- $proxied := .Values.ingress.proxyProtocol.enabled -}}
{{- $config := dict
  "hostname" .Values.hostname
  "dataFolder" "/data"
  "metrics" (dict "listen" (printf "%s:2080" $host))
  "ingress" (dict
    "mx" (dict "listen" (list (printf "%s:2525" $host)))
    "submission" (dict "listen" (list (printf "%s:2587" $host)))
    "submissions" (dict "listen" (list (printf "%s:2465" $host))))
  "mailbox" (dict
    "pop3" (dict "listen" (list (printf "%s:2110" $host)))
    "pop3s" (dict "listen" (list (printf "%s:2995" $host)))) -}}
{{- if $proxied -}}
{{- $_ := set $config.ingress "proxyNetworks" .Values.ingress.proxyProtocol.networks -}}
{{- $_ := set $config.ingress.mx "proxyListen" (list (printf "%s:3525" $host)) -}}
{{- $_ := set $config.ingress.submission "proxyListen" (list (printf "%s:3587" $host)) -}}
{{- $_ := set $config.ingress.submissions "proxyListen" (list (printf "%s:3465" $host)) -}}
{{- end -}}
{{- if ne .Values.tls.source "self" -}}
{{- $_ := set $config "tls" (dict "certificateFile" "/etc/angarium/tls/tls.crt" "keyFile" "/etc/angarium/tls/tls.key") -}}
{{- end -}}
{{- if eq .Values.mode "cluster" -}}
{{- $_ := set $config "rpcTls" (dict "certificateFile" "/etc/angarium/rpc/tls.crt" "keyFile" "/etc/angarium/rpc/tls.key" "authorityFile" "/etc/angarium/rpc/ca.crt" "peerName" $name) -}}
{{- $_ := set $config "kafka" (dict "startTimeoutMs" "10m") -}}
{{- $_ := set $config "directoryListen" (printf "%s:2601" $host) -}}
{{- $_ := set $config "directoryAt" (printf "dns:///%s-routing:2601" $name) -}}
{{- $_ := set $config "mailboxAt" (printf "dns:///%s-mailbox:2600" $name) -}}
{{- $_ := set $config.mailbox "rpcListen" (printf "%s:2600" $host) -}}
{{- $_ := set $config.mailbox "directory" (printf "dns:///%s-routing:2601" $name) -}}
{{- $_ := set $config "delivery" (dict "rpcListen" (printf "%s:2602" $host)) -}}
{{- $_ := set $config "routing" (dict "directoryEngine" "postgres") -}}
{{- if .Values.kafka.passwordSecret.name -}}
{{- $_ := set $config.kafka "sasl" (dict "passwordFile" (printf "/etc/angarium/kafka/%s" .Values.kafka.passwordSecret.key)) -}}
{{- end -}}
{{- if .Values.kafka.authoritySecret -}}
{{- $_ := set $config.kafka "tls" (dict "enabled" true "authorityFile" "/etc/angarium/kafka-authority/ca.crt") -}}
{{- end -}}
{{- if .Values.blobs.existingClaim -}}
{{- $_ := set $config "blobFolder" "/blobs/queue" -}}
{{- if not (include "angarium.mailboxOnDisk" .) -}}{{- $_ := set $config.mailbox "blobFolder" "/blobs/mailbox" -}}{{- end -}}
{{- end -}}
{{- $postgres := dict -}}
{{- if .Values.postgres.passwordSecret.name -}}{{- $_ := set $postgres "passwordFile" (printf "/etc/angarium/postgres/%s" .Values.postgres.passwordSecret.key) -}}{{- end -}}
{{- if .Values.postgres.authoritySecret -}}{{- $_ := set $postgres "tls" (dict "authorityFile" "/etc/angarium/postgres-authority/ca.crt") -}}{{- end -}}
{{- if $postgres -}}{{- $_ := set $config "postgres" $postgres -}}{{- end -}}
{{- end -}}
{{- $s3 := dict -}}
{{- if .Values.s3.credentialsSecret.name -}}{{- $_ := set $s3 "credentialsFile" (printf "/etc/angarium/s3/%s" .Values.s3.credentialsSecret.key) -}}{{- end -}}
{{- if .Values.s3.authoritySecret -}}{{- $_ := set $s3 "authorityFile" "/etc/angarium/s3-authority/ca.crt" -}}{{- end -}}
{{- if $s3 -}}{{- $_ := set $config "blobs" (dict "engine" "s3" "s3" $s3) -}}{{- end -}}
{{- if include "angarium.hasScaler" . -}}
{{- $scaling := .Values.delivery.autoscaling -}}
{{- $_ := set $config "scaling" (dict
  "workersAt" (list (printf "%s-delivery:2080" $name))
  "rpcListen" (printf "%s:2603" $host)
  "minWorkers" $scaling.minReplicas
  "maxWorkers" $scaling.maxReplicas
  "scaleInAfterMs" (printf "%ds" (int $scaling.scaleInAfterSeconds))) -}}
{{- if eq $scaling.mode "external" -}}
{{- $_ := set $config.scaling "apiListen" (printf "%s:2604" $host) -}}
{{- $_ := set $config.scaling "tls" (dict "certificateFile" "/etc/angarium/rpc/tls.crt" "keyFile" "/etc/angarium/rpc/tls.key") -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{/* What no single value can tell. */}}
{{- define "angarium.check" -}}
{{- if eq .Values.mode "cluster" -}}
{{- if not (dig "kafka" "brokers" list .Values.config) -}}{{- fail "config.kafka.brokers: name the brokers of a Kafka cluster, or set mode: one" -}}{{- end -}}
{{- if not (dig "postgres" "host" "" .Values.config) -}}{{- fail "config.postgres: name a PostgreSQL server (host, database, user): the directory of a cluster is there" -}}{{- end -}}
{{- if and (not .Values.blobs.existingClaim) (ne (dig "blobs" "engine" "files" .Values.config) "s3") (not .Values.s3.credentialsSecret.name) -}}{{- fail "large messages need a place that all pods reach: config.blobs (engine s3), or blobs.existingClaim" -}}{{- end -}}
{{- if and (include "angarium.mailboxOnDisk" .) (gt (int .Values.mailbox.replicas) 1) -}}{{- fail "mailbox.replicas: more than one needs config.mailbox.storeEngine: postgres" -}}{{- end -}}
{{- $lanes := int (dig "journal" "lanes" 16 .Values.config) -}}
{{- $most := ternary .Values.delivery.replicas .Values.delivery.autoscaling.maxReplicas (eq .Values.delivery.autoscaling.mode "off") -}}
{{- if gt (int $most) $lanes -}}{{- fail (printf "delivery: %d workers are more than config.journal.lanes (%d); one without a lane does nothing" (int $most) $lanes) -}}{{- end -}}
{{- if and (eq .Values.delivery.egress "host") (ne .Values.delivery.autoscaling.mode "off") -}}{{- fail "delivery.egress host: one worker a node; it does not scale by itself" -}}{{- end -}}
{{- end -}}
{{- if and .Values.ingress.proxyProtocol.enabled (not .Values.ingress.proxyProtocol.networks) -}}{{- fail "ingress.proxyProtocol.networks: name the networks of the balancer; whoever else sent a header could choose its address" -}}{{- end -}}
{{- range $kind, $tls := dict "tls" .Values.tls "rpcTls" .Values.rpcTls -}}
{{- if and (eq $tls.source "secret") (not $tls.secretName) -}}{{- fail (printf "%s.secretName: name the secret, or choose another %s.source" $kind $kind) -}}{{- end -}}
{{- if and (eq $tls.source "certManager") (not (dig "name" "" $tls.issuerRef)) -}}{{- fail (printf "%s.issuerRef.name: name the issuer" $kind) -}}{{- end -}}
{{- end -}}
{{- end -}}
