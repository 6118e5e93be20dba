{{/* Deployment of one service. Input as of angarium.podTemplate, and "replicas" (left out: somebody else sets it). */}}
{{- define "angarium.deployment" -}}
{{- $onHost := and (eq .role "delivery") (eq .root.Values.delivery.egress "host") -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "angarium.fullname" .root }}-{{ .role }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  # A pod more before one less; where each node has one worker, one less before one more.
  strategy: { type: RollingUpdate, rollingUpdate: {{ ternary "{ maxSurge: 0, maxUnavailable: 1 }" "{ maxSurge: 1, maxUnavailable: 0 }" $onHost }} }
  selector:
    matchLabels: {{- include "angarium.selector" . | nindent 6 }}
  template: {{- include "angarium.podTemplate" . | nindent 4 }}
{{- end -}}

{{/* The same with a volume of its own for /data. Input as above; replicas is 1. */}}
{{- define "angarium.statefulSet" -}}
{{- $persistence := (index .root.Values .role).persistence -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "angarium.fullname" .root }}-{{ .role }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ .serviceName }}
  persistentVolumeClaimRetentionPolicy: { whenDeleted: {{ $persistence.whenDeleted }}, whenScaled: Retain }
  selector:
    matchLabels: {{- include "angarium.selector" . | nindent 6 }}
  template: {{- include "angarium.podTemplate" (merge (dict "claim" true) .) | nindent 4 }}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{- include "angarium.selector" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: { requests: { storage: {{ $persistence.size }} } }
{{- end -}}

{{/* Addresses of all pods of a service, also of those that are not ready: they find each other while they start. Input: dict "root" "role" "ports". */}}
{{- define "angarium.headless" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "angarium.fullname" .root }}-{{ .role }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: {{ default false .whileStarting }}
  ipFamilyPolicy: PreferDualStack
  selector: {{- include "angarium.selector" . | nindent 4 }}
  ports:
    {{- range $port, $number := .ports }}
    - { name: {{ $port }}, port: {{ $number }}, targetPort: {{ $port }} }
    {{- end }}
{{- end -}}

{{/* Service that clients outside reach. Input: dict "root" "role" (whose pods) "name" "service" (of the values) "targets" (dict port name: container port name). */}}
{{- define "angarium.frontService" -}}
{{- $isOuter := has .service.type (list "LoadBalancer" "NodePort") -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
  {{- with .service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .service.type }}
  {{- if $isOuter }}
  externalTrafficPolicy: {{ .service.externalTrafficPolicy }}
  {{- end }}
  {{- if eq .service.type "LoadBalancer" }}
  {{- with .service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with .service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  ipFamilyPolicy: {{ .service.ipFamilyPolicy }}
  selector: {{- include "angarium.selector" . | nindent 4 }}
  ports:
    {{- range $port, $target := .targets }}
    - { name: {{ $port }}, port: {{ index $.service.ports $port }}, targetPort: {{ $target }} }
    {{- end }}
{{- end -}}

{{/* Input: dict "root" "role". */}}
{{- define "angarium.pdb" -}}
{{- $pdb := (index .root.Values .role).pdb -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "angarium.fullname" .root }}-{{ .role }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $pdb.maxUnavailable }}
  # A pod that is not ready holds up no drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "angarium.selector" . | nindent 6 }}
{{- end -}}

{{/* Input: dict "root" "role" "metrics" (list, YAML) "behavior" (dict, optional). */}}
{{- define "angarium.hpa" -}}
{{- $scaling := (index .root.Values .role).autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "angarium.fullname" .root }}-{{ .role }}
  labels: {{- include "angarium.labels" . | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ include "angarium.fullname" .root }}-{{ .role }} }
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics: {{- toYaml .metrics | nindent 4 }}
  {{- with .behavior }}
  behavior: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "angarium.cpuMetric" -}}
- type: Resource
  resource: { name: cpu, target: { type: Utilization, averageUtilization: {{ . }} } }
{{- end -}}

{{/* One worker less at a time: its lanes are with others before the next one goes. */}}
{{- define "angarium.scaleBehavior" -}}
scaleDown:
  stabilizationWindowSeconds: {{ .scaleInAfterSeconds }}
  policies: [{ type: Pods, value: 1, periodSeconds: {{ .scaleInEverySeconds }} }]
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{ type: Percent, value: 100, periodSeconds: 15 }, { type: Pods, value: 4, periodSeconds: 15 }]
  selectPolicy: Max
{{- end -}}
