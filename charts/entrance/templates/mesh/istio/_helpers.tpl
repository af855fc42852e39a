{{/* Only the gateway is in the mesh: the API server, and sidecars before their own mesh is up, talk to the others. */}}
{{- define "entrance.istioDataPlane" -}}
{{- ternary .root.Values.istio.dataPlane "none" (eq .component "gateway") -}}
{{- end -}}

{{- define "entrance.istioLabels" -}}
{{- $plane := include "entrance.istioDataPlane" . -}}
sidecar.istio.io/inject: {{ eq $plane "sidecar" | quote }}
istio.io/dataplane-mode: {{ ternary "ambient" "none" (eq $plane "ambient") }}
{{- end -}}

{{/* The admin port is for nodes and monitoring, which are in no mesh; the API server is asked once the proxy is there. */}}
{{- define "entrance.istioAnnotations" -}}
{{- if eq (include "entrance.istioDataPlane" .) "sidecar" -}}
traffic.sidecar.istio.io/excludeInboundPorts: "9901"
proxy.istio.io/config: '{"holdApplicationUntilProxyStarts":true}'
{{- end -}}
{{- end -}}

{{- define "entrance.gatewayHost" -}}
{{ include "entrance.fullname" . }}-gateway.{{ .Release.Namespace }}.svc.{{ .Values.istio.clusterDomain }}
{{- end -}}

{{/* A name that nobody resolves: proxies find the address with it. */}}
{{- define "entrance.sidecarHost" -}}
{{ include "entrance.fullname" . }}-sidecar.{{ .Release.Namespace }}.internal
{{- end -}}

{{/* What has to stand in Istio's own configuration. */}}
{{- define "entrance.meshConfig" -}}
pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
extensionProviders:
{{- if .Values.gateway.enabled }}
- name: {{ .Values.istio.provider }}
  envoyExtAuthzGrpc:
    service: {{ include "entrance.gatewayHost" . }}
    port: {{ .Values.gateway.service.port }}
    timeout: 0.25s
    statusOnError: "503"
{{- end }}
{{- if and .Values.webhook.enabled .Values.injection.enabled }}
- name: {{ .Values.istio.provider }}-sidecar
  envoyExtAuthzGrpc:
    service: {{ include "entrance.sidecarHost" . }}
    port: 9191
    timeout: 0.25s
    statusOnError: "503"
{{- end }}
{{- end -}}
