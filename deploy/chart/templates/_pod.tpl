{{/*
Pod template of one service. Input: dict "root" "role" (its name in values) "args" (list) "ports" (dict name: number)
"volumes" (YAML list, optional) "mounts" (YAML list, optional) "job" (bool: no probes).
*/}}
{{- define "angarium.podTemplate" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
{{- $own := default dict $values.pod -}}
{{- $all := $root.Values.pods -}}
metadata:
  labels:
    {{- include "angarium.labels" . | nindent 4 }}
    {{- with merge (dict) (default dict $own.labels) $all.labels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/config: {{ include "angarium.config" $root | sha256sum }}
    {{- with merge (dict) (default dict $own.annotations) $all.annotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- include "angarium.podSpec" . | nindent 2 }}
{{- end -}}

{{- define "angarium.podSpec" -}}
{{- $root := .root -}}
{{- $name := include "angarium.fullname" $root -}}
{{- $values := index $root.Values .role -}}
{{- $own := default dict $values.pod -}}
{{- $all := $root.Values.pods -}}
{{- $isCluster := eq $root.Values.mode "cluster" -}}
{{- $onHost := and (eq .role "delivery") (eq $root.Values.delivery.egress "host") (not .job) -}}
serviceAccountName: {{ $name }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if $onHost }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with default $all.priorityClassName $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with merge (dict) (default dict $own.nodeSelector) $all.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (default list $own.tolerations) $all.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $all.affinity $own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- with default $all.topologySpreadConstraints $own.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "angarium.selector" $ | nindent 8 }}
  {{- end }}
  {{- end }}
containers:
  - name: {{ ternary "topics" .role (default false .job) }}
    image: {{ include "angarium.image" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      - { name: ANGARIUM_CONFIG, value: /etc/angarium/config/angarium.yaml }
      # The heap is bounded by the memory limit; bodies and sockets lie beside it.
      - { name: NODE_OPTIONS, value: "--max-old-space-size-percentage=60" }
      {{- if and (eq .role "delivery") (not .job) }}
      - { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
      - { name: ANGARIUM_DELIVERY__RPC_ADDRESS, value: "$(POD_IP):2602" }
      {{- end }}
      {{- with concat $all.extraEnv (default list $own.extraEnv) }}{{ toYaml . | nindent 6 }}{{ end }}
    {{- with .ports }}
    ports:
      {{- range $port, $number := . }}
      - { name: {{ $port }}, containerPort: {{ $number }} }
      {{- end }}
    {{- end }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    {{- if not .job }}
    # Alive while the event loop turns, whatever brokers and databases do; ready when mail can be taken or delivered.
    startupProbe: { httpGet: { path: /livez, port: metrics }, periodSeconds: 1, failureThreshold: 60 }
    livenessProbe: { httpGet: { path: /livez, port: metrics }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
    readinessProbe: { httpGet: { path: /readyz, port: metrics }, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 }
    {{- if gt (int $values.preStopSeconds) 0 }}
    lifecycle: { preStop: { sleep: { seconds: {{ $values.preStopSeconds }} } } }
    {{- end }}
    {{- end }}
    volumeMounts:
      - { name: config, mountPath: /etc/angarium/config, readOnly: true }
      - { name: data, mountPath: /data }
      - { name: tmp, mountPath: /tmp }
      {{- range $mount := fromYamlArray (include "angarium.secretMounts" $root) }}
      - { name: {{ $mount.name }}, mountPath: /etc/angarium/{{ $mount.name }}, readOnly: true }
      {{- end }}
      {{- if and $isCluster $root.Values.blobs.existingClaim }}
      - { name: blobs, mountPath: /blobs }
      {{- end }}
      {{- with concat $all.extraVolumeMounts (default list $own.extraVolumeMounts) }}{{ toYaml . | nindent 6 }}{{ end }}
{{- if .job }}
restartPolicy: OnFailure
{{- end }}
volumes:
  - name: config
    configMap: { name: {{ $name }} }
  {{- if not .claim }}
  - name: data
    emptyDir: {}
  {{- end }}
  - name: tmp
    emptyDir: {}
  {{- range $mount := fromYamlArray (include "angarium.secretMounts" $root) }}
  - name: {{ $mount.name }}
    secret: { secretName: {{ $mount.secret }}, defaultMode: 0440 }
  {{- end }}
  {{- if and $isCluster $root.Values.blobs.existingClaim }}
  - name: blobs
    persistentVolumeClaim: { claimName: {{ $root.Values.blobs.existingClaim }} }
  {{- end }}
  {{- with concat $all.extraVolumes (default list $own.extraVolumes) }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{/* Secrets that are mounted as folders, never by subPath: what is renewed is seen. */}}
{{- define "angarium.secretMounts" -}}
{{- $mounts := list -}}
{{- if ne .Values.tls.source "self" -}}{{- $mounts = append $mounts (dict "name" "tls" "secret" (include "angarium.tlsSecret" .)) -}}{{- end -}}
{{- if eq .Values.mode "cluster" -}}
{{- $mounts = append $mounts (dict "name" "rpc" "secret" (include "angarium.rpcSecret" .)) -}}
{{- range $name := list "kafka" "postgres" -}}
{{- with (index $.Values $name).passwordSecret.name -}}{{- $mounts = append $mounts (dict "name" $name "secret" .) -}}{{- end -}}
{{- with (index $.Values $name).authoritySecret -}}{{- $mounts = append $mounts (dict "name" (printf "%s-authority" $name) "secret" .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.s3.credentialsSecret.name -}}{{- $mounts = append $mounts (dict "name" "s3" "secret" .) -}}{{- end -}}
{{- with .Values.s3.authoritySecret -}}{{- $mounts = append $mounts (dict "name" "s3-authority" "secret" .) -}}{{- end -}}
{{- toYaml $mounts -}}
{{- end -}}
