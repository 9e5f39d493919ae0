{{/*
Labels of an object: (list CONTEXT COMPONENT [MORE]), where COMPONENT may be empty. What is
selected by, and removed by, is ours, whatever others are given.
*/}}
{{- define "sidecar-drift.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "app.kubernetes.io/name" "sidecar-drift"
  "app.kubernetes.io/part-of" "sidecar-drift"
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
-}}
{{- with index . 1 }}{{ $_ := set $own "app.kubernetes.io/component" . }}{{ end -}}
{{- $more := dict }}
{{- if gt (len .) 2 }}{{ $more = index . 2 }}{{ end -}}
{{- mustMergeOverwrite (deepCopy $root.Values.commonLabels) (deepCopy $more) $own | toYaml }}
{{- end }}

{{/* What selects the Pods of a component. It never changes: a Deployment's cannot. */}}
{{- define "sidecar-drift.selector" -}}
app.kubernetes.io/name: sidecar-drift
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Metadata of a component's Pods: (list CONTEXT VALUES COMPONENT). */}}
{{- define "sidecar-drift.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $own := include "sidecar-drift.selector" (index . 2) | fromYaml -}}
labels:
  {{- toYaml (mustMergeOverwrite (deepCopy $root.Values.commonLabels) (deepCopy $values.podLabels) $own) | nindent 2 }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image, by its digest where there is one. */}}
{{- define "sidecar-drift.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Where and how a component's Pods run: (list CONTEXT VALUES COMPONENT). */}}
{{- define "sidecar-drift.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $component := index . 2 -}}
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if has $component (list "webhook" "auditor") }}
# Replicas keep away from each other where they can; a cluster of one node gets them
# all the same.
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "sidecar-drift.selector" $component | nindent 14 }}
{{- end }}
{{- if $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else if eq $component "webhook" }}
topologySpreadConstraints:
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sidecar-drift.selector" $component | nindent 8 }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all containers have, from their image on: (list CONTEXT VALUES). */}}
{{- define "sidecar-drift.container" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
image: {{ include "sidecar-drift.image" $root | quote }}
{{- with $root.Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
env:
  # Nine tenths of it are Go's; GOMEMLIMIT, where set, is the limit itself.
  - name: MEMORY_LIMIT
    valueFrom:
      resourceFieldRef:
        resource: limits.memory
        divisor: "1"
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
livenessProbe:
  httpGet:
    path: /healthz
    port: health
{{- end }}

{{/* The account that the auditor runs as. */}}
{{- define "sidecar-drift.auditorAccount" -}}
{{- if .Values.autoRollout.enabled }}sidecar-drift-rollout{{ else }}sidecar-drift-auditor{{ end -}}
{{- end }}

{{/* The Secret that holds the stamper's certificate. */}}
{{- define "sidecar-drift.servingSecret" -}}
{{- if eq .Values.certificates.mode "existingSecret" -}}
{{ .Values.certificates.existingSecret.name }}
{{- else -}}
sidecar-drift-webhook-tls
{{- end -}}
{{- end }}
