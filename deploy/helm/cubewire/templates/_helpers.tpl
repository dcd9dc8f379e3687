{{- define "cubewire.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "cubewire.selector" -}}
app.kubernetes.io/name: cubewire
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cubewire.labels" -}}
{{ include "cubewire.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "cubewire.secret" -}}
{{- .Values.secret.existing | default (include "cubewire.name" .) -}}
{{- end }}
