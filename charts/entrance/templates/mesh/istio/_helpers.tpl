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

{{/* What has to stand in Istio's own configuration. */}}
{{- define "entrance.meshConfig" -}}
pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
extensionProviders:
{{- if .Values.gateway.enabled }}
{{ include "entrance.extensionProvider" (list .Values.istio.provider (include "entrance.gatewayHost" .) .Values.gateway.service.port) }}
{{- end }}
{{- if and .Values.webhook.enabled .Values.injection.enabled }}
{{- range list "sidecar" "socket" }}
{{ include "entrance.extensionProvider" (list (printf "%s-%s" $.Values.istio.provider .) (include "entrance.podHost" (list $ .)) 9191) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (list name host port) */}}
{{- define "entrance.extensionProvider" -}}
- name: {{ index . 0 }}
  envoyExtAuthzGrpc: {service: {{ index . 1 }}, port: {{ index . 2 }}, timeout: 0.25s, statusOnError: "503"}
{{- end -}}

{{/* (list $ "sidecar"): a name that nobody resolves; proxies find the address with it. */}}
{{- define "entrance.podHost" -}}
{{- $root := index . 0 -}}
{{ include "entrance.fullname" $root }}-{{ index . 1 }}.{{ $root.Release.Namespace }}.internal
{{- end -}}
