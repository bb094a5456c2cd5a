{{- define "llm-gateway.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "llm-gateway.serviceAccountName" -}}
{{- $default := ternary (include "llm-gateway.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $default .Values.serviceAccount.name }}
{{- end }}

{{/* The name of objects that belong to no namespace. */}}
{{- define "llm-gateway.clusterName" -}}
{{- printf "%s-%s" (include "llm-gateway.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "llm-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "llm-gateway.labels" -}}
{{ include "llm-gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "llm-gateway.podLabels" -}}
{{- $own := include "llm-gateway.labels" . | fromYaml }}
{{- $never := dict "sidecar.istio.io/inject" "false" }}
{{- merge $own .Values.labels .Values.podLabels $never | toYaml }}
{{- end }}

{{- define "llm-gateway.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* 80:8080 443:8443 */}}
{{- define "llm-gateway.portMap" -}}
{{- $map := list }}
{{- range .Values.service.ports }}
{{- if ne (int .port) (int .targetPort) }}
{{- $map = append $map (printf "%d:%d" (int .port) (int .targetPort)) }}
{{- end }}
{{- end }}
{{- join " " $map }}
{{- end }}

{{- define "llm-gateway.caddyfile" -}}
{{- if .Values.caddyfile }}
{{- .Values.caddyfile | trim }}
{{- else -}}
{
	admin off
	persist_config off
	llm {
		source kubernetes {
			labels_file /etc/podinfo/labels
			workload {{ include "llm-gateway.fullname" . }}
			root_namespace {{ default .Release.Namespace .Values.rootNamespace }}
			{{- with .Values.selectorsFrom }}
			selectors_from {{ join " " . }}
			{{- end }}
			lease {{ include "llm-gateway.fullname" . }}
			{{- with include "llm-gateway.portMap" . }}
			port_map {{ . }}
			{{- end }}
			{{- if .Values.injection.enabled }}
			injection {{ include "llm-gateway.clusterName" . }} {
				options /etc/llm-injection/options.yaml
			}
			{{- end }}
		}
		status_listen :15021
		drain_timeout {{ int .Values.drain.timeoutSeconds }}s
		{{- if .Values.accessLog }}
		access_log
		{{- end }}
		{{- with .Values.limits }}
		limits {
{{ regexReplaceAll "(?m)^(.)" (trim .) "\t\t\t${1}" }}
		}
		{{- end }}
	}
	{{- with .Values.globalOptions }}
{{ regexReplaceAll "(?m)^(.)" (trim .) "\t${1}" }}
	{{- end }}
}
{{- with .Values.extraCaddyfile }}

{{ . | trim }}
{{- end }}
{{- end }}
{{- end }}
