{{/* What every object of the chart shares. Nothing here is random or looked up: the same values give the same bytes. */}}

{{- define "entrance.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "entrance.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "entrance.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "entrance.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "component" "controller"): what selects pods; never changes in an upgrade. */}}
{{- define "entrance.selector" -}}
app.kubernetes.io/name: {{ include "entrance.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- if .component }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "component" "controller" "labels" map "annotations" map): the labels and annotations of an object. */}}
{{- define "entrance.metadata" -}}
{{- $labels := merge (dict) (.labels | default dict) .root.Values.commonLabels -}}
{{- $annotations := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations -}}
labels:
  {{- include "entrance.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: entrance
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
  {{- with $labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The labels of pods: no version of the chart, so that a new chart alone restarts nothing. */}}
{{- define "entrance.podLabels" -}}
{{- $values := get .root.Values .component -}}
{{- $mesh := fromYaml (include "entrance.meshLabels" .) -}}
{{- include "entrance.selector" . }}
app.kubernetes.io/part-of: entrance
{{- with merge (dict) $values.podLabels .root.Values.commonLabels $mesh }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "entrance.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the serving certificate. */}}
{{- define "entrance.certificates" -}}
{{- if eq .Values.certificates.provider "own" -}}
{{ include "entrance.fullname" . }}-certificates
{{- else -}}
{{ .Values.certificates.secretName | default (printf "%s-tls" (include "entrance.fullname" .)) }}
{{- end -}}
{{- end -}}

{{/* Where sidecars find the controller. */}}
{{- define "entrance.controllerUrl" -}}
https://{{ include "entrance.fullname" . }}-controller.{{ .Release.Namespace }}.svc:{{ .Values.controller.service.port }}
{{- end -}}

{{/* Settings of the network and of logging, as environment. */}}
{{- define "entrance.env" -}}
- {name: RUST_LOG, value: {{ .Values.logLevel | quote }}}
{{- include "entrance.proxyEnv" . }}
{{- end -}}

{{- define "entrance.proxyEnv" -}}
{{- with .Values.proxy }}
{{- with .https }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
{{- end }}
{{- with .http }}
- {name: HTTP_PROXY, value: {{ . | quote }}}
{{- end }}
{{- if or .https .http }}
- {name: NO_PROXY, value: {{ .noProxy | default "localhost,127.0.0.1,::1,.svc,.cluster.local,kubernetes.default.svc,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16" | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "entrance.pins" -}}
{{- range .Values.hostPins }}
- --pin-host={{ .host }}={{ .namespace }}
{{- end }}
{{- end -}}

{{- define "entrance.extraCaArg" -}}
{{- if .Values.extraCa.configMap }}
- --extra-ca=/etc/entrance/extra-ca/{{ .Values.extraCa.key }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "component" "controller"): fields of a pod that do not depend on what it runs. */}}
{{- define "entrance.pod" -}}
{{- $values := get .root.Values .component -}}
serviceAccountName: {{ include "entrance.fullname" .root }}-{{ .component }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else if $values.topologySpread }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "entrance.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The same of a container: image, security, probes on the admin port, resources. */}}
{{- define "entrance.container" -}}
{{- $values := get .root.Values .component -}}
image: {{ include "entrance.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 2
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 2
resources:
  {{- toYaml $values.resources | nindent 2 }}
{{- end -}}

{{/* Volume mounts and volumes: certificates as files, further authorities, and the user's own. */}}
{{- define "entrance.volumeMounts" -}}
{{- $values := get .root.Values .component -}}
{{- if and .tls (ne .root.Values.certificates.provider "own") }}
- {name: tls, mountPath: /etc/entrance/tls, readOnly: true}
{{- end }}
{{- if and .extraCa .root.Values.extraCa.configMap }}
- {name: extra-ca, mountPath: /etc/entrance/extra-ca, readOnly: true}
{{- end }}
{{- with $values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "entrance.volumes" -}}
{{- $values := get .root.Values .component -}}
{{- if and .tls (ne .root.Values.certificates.provider "own") }}
- name: tls
  secret:
    secretName: {{ include "entrance.certificates" .root }}
{{- end }}
{{- if and .extraCa .root.Values.extraCa.configMap }}
- name: extra-ca
  configMap:
    name: {{ .root.Values.extraCa.configMap }}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A PodDisruptionBudget, if more than one replica runs. */}}
{{- define "entrance.podDisruptionBudget" -}}
{{- $values := get .root.Values .component -}}
{{- if and $values.podDisruptionBudget (or (gt (int $values.replicas) 1) .scaled) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "entrance.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "entrance.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "entrance.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "entrance.serviceAccount" -}}
{{- $values := get .root.Values .component -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "entrance.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "entrance.metadata" (merge (dict "annotations" $values.serviceAccount.annotations) .) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}
