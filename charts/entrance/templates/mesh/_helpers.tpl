{{/* What the mesh reads on pods. Whoever runs it adds a branch here. */}}

{{/* (dict "root" $ "component" "gateway"): labels of pods, as YAML; those of the user win. */}}
{{- define "entrance.meshLabels" -}}
{{- if eq .root.Values.mesh "istio" }}
{{- include "entrance.istioLabels" . }}
{{- end }}
{{- end -}}

{{/* The same for annotations. */}}
{{- define "entrance.meshAnnotations" -}}
{{- if eq .root.Values.mesh "istio" }}
{{- include "entrance.istioAnnotations" . }}
{{- end }}
{{- end -}}
