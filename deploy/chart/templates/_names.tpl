{{- define "angarium.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "angarium.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "angarium.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "angarium.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Selector of one service's pods. Input: dict "root" "role". */}}
{{- define "angarium.selector" -}}
app.kubernetes.io/name: {{ include "angarium.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "angarium.labels" -}}
{{ include "angarium.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "angarium.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}{{- $repository = printf "%s/%s" . $repository -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "angarium.rpcSecret" -}}
{{- default (printf "%s-rpc" (include "angarium.fullname" .)) .Values.rpcTls.secretName -}}
{{- end -}}

{{- define "angarium.tlsSecret" -}}
{{- default (printf "%s-tls" (include "angarium.fullname" .)) .Values.tls.secretName -}}
{{- end -}}

{{- define "angarium.hasScaler" -}}
{{- if and (eq .Values.mode "cluster") (has .Values.delivery.autoscaling.mode (list "external" "keda")) -}}true{{- end -}}
{{- end -}}

{{/* Of a cluster: whether mailboxes are on a volume of one pod. */}}
{{- define "angarium.mailboxOnDisk" -}}
{{- if ne (dig "mailbox" "storeEngine" "sqlite" .Values.config) "postgres" -}}true{{- end -}}
{{- end -}}
