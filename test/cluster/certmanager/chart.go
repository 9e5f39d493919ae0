package certmanager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// names stand for the chart's helpers: what they come to with its own values. Rights
// need no labels.
const names = `
{{- define "cert-manager.name"}}cert-manager{{end -}}
{{- define "cert-manager.fullname"}}cert-manager{{end -}}
{{- define "cert-manager.namespace"}}` + Namespace + `{{end -}}
{{- define "cert-manager.serviceAccountName"}}` + controllerAccount + `{{end -}}
{{- define "cainjector.name"}}cainjector{{end -}}
{{- define "cainjector.fullname"}}` + Injector + `{{end -}}
{{- define "cainjector.serviceAccountName"}}` + Injector + `{{end -}}
{{- define "labels"}}{{end -}}
`

// renderRights renders the templates of the chart that hold roles and bindings, which
// need little of Helm but its values.
func renderRights(chart string) (string, error) {
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return "", err
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return "", fmt.Errorf("read the values of cert-manager's chart: %w", err)
	}
	data := map[string]any{"Values": values, "Release": map[string]string{"Name": "cert-manager"}}
	var rendered strings.Builder
	for _, name := range []string{"rbac.yaml", "cainjector-rbac.yaml"} {
		text, err := os.ReadFile(filepath.Join(chart, "templates", name))
		if err != nil {
			return "", err
		}
		rendered.WriteString("\n---\n")
		if err := execute(&rendered, names+string(text), data); err != nil {
			return "", fmt.Errorf("render %s of cert-manager's chart: %w", name, err)
		}
	}
	return rendered.String(), nil
}

func execute(out *strings.Builder, text string, data any) error {
	root := template.New("")
	root.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var included strings.Builder
			err := root.ExecuteTemplate(&included, name, data)
			return included.String(), err
		},
		"nindent": func(_ int, text string) (string, error) {
			if text != "" {
				return "", fmt.Errorf("%q would need Helm's nindent", text)
			}
			return "", nil
		},
		"quote": func(text string) string { return fmt.Sprintf("%q", text) },
	})
	if _, err := root.Parse(text); err != nil {
		return err
	}
	return root.Execute(out, data)
}
