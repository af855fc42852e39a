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

{{/* What the objects of a target of Envoy Gateway are called. */}}
{{- define "entrance.targetName" -}}
{{- $target := index . 1 -}}
{{- $section := ternary (printf "-%s" $target.sectionName) "" (not (empty $target.sectionName)) -}}
{{- printf "%s-%s" (include "entrance.fullname" (index . 0)) ($target.as | default (printf "%s%s" $target.name $section)) | trunc 57 | trimSuffix "-" | trimSuffix "." -}}
{{- end }}
