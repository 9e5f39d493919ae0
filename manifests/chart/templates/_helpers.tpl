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

{{/*
Labels and annotations of an object: (list CONTEXT COMPONENT [LABELS [ANNOTATIONS]]). An object's
own annotations go before those of all.
*/}}
{{- define "sidecar-drift.metadata" -}}
{{- $root := index . 0 -}}
{{- $own := dict }}
{{- if gt (len .) 3 }}{{ $own = index . 3 }}{{ end -}}
labels:
  {{- include "sidecar-drift.labels" . | nindent 2 }}
{{- with mustMergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy $own) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- if not (kindIs "invalid" $values.terminationGracePeriodSeconds) }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
{{- end }}
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

{{/* The stamper's flags: where it listens, unless that is the program's own default; and more. */}}
{{- define "sidecar-drift.stamperArgs" -}}
{{- $args := list -}}
{{- $ports := .Values.stamper.ports -}}
{{- range list (list "bind-address" $ports.https 9443) (list "metrics-bind-address" $ports.metrics 8080) (list "health-probe-bind-address" $ports.health 8081) -}}
{{- if ne (index . 1 | int) (index . 2) }}{{ $args = append $args (printf "--%s=:%d" (index . 0) (index . 1 | int)) }}{{ end -}}
{{- end -}}
{{- with concat $args .Values.stamper.extraArgs }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* The account that the auditor runs as. */}}
{{- define "sidecar-drift.auditorAccount" -}}
{{- if .Values.autoRollout.enabled }}sidecar-drift-rollout{{ else }}sidecar-drift-auditor{{ end -}}
{{- end }}

{{/* The ingress rule for whoever scrapes. */}}
{{- define "sidecar-drift.scrapes" -}}
- ports:
    - port: metrics
      protocol: TCP
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The egress rules of what speaks to API servers. */}}
{{- define "sidecar-drift.egress" -}}
{{- with .Values.networkPolicy.egress }}{{ toYaml . }}{{ else }}- {}{{ end -}}
{{- end }}

{{/* What monitors have of every target. */}}
{{- define "sidecar-drift.scraped" -}}
interval: {{ .Values.monitoring.interval }}
{{- with .Values.monitoring.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.monitoring.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The Secret that holds the stamper's certificate. */}}
{{- define "sidecar-drift.servingSecret" -}}
{{- if eq .Values.certificates.mode "existingSecret" -}}
{{ .Values.certificates.existingSecret.name }}
{{- else -}}
sidecar-drift-webhook-tls
{{- end -}}
{{- end }}
