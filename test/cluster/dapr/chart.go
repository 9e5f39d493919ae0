package dapr

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// Templates of the chart that need nothing of Helm but its values.
const (
	webhookTemplate = "charts/dapr_sidecar_injector/templates/dapr_sidecar_injector_webhook_config.yaml"
	rightsTemplate  = "charts/dapr_rbac/templates/injector.yaml"
)

// chart is Dapr's Helm chart in a directory.
type chart string

// definitions are the CustomResourceDefinitions that the injector reads.
func (c chart) definitions() (string, error) {
	var joined strings.Builder
	for _, file := range []string{"components.yaml", "configuration.yaml"} {
		text, err := os.ReadFile(filepath.Join(string(c), "crds", file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&joined, "---\n%s\n", text)
	}
	return joined.String(), nil
}

// render renders a template as Helm would, with the chart's own values.
func (c chart) render(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(string(c), name))
	if err != nil {
		return "", err
	}
	values, err := c.values(filepath.Dir(filepath.Dir(name)))
	if err != nil {
		return "", err
	}
	data := map[string]any{"Values": values, "Release": map[string]string{"Name": "dapr", "Namespace": Namespace}}
	rendered, err := execute(string(text), data)
	if err != nil {
		return "", fmt.Errorf("render %s of Dapr's chart: %w", name, err)
	}
	return rendered, nil
}

// values are those of a chart within the chart.
func (c chart) values(folder string) (map[string]any, error) {
	read := func(folder string) (values map[string]any, err error) {
		text, err := os.ReadFile(filepath.Join(string(c), folder, "values.yaml"))
		if err != nil {
			return nil, err
		}
		return values, yaml.Unmarshal(text, &values)
	}
	all, err := read(".")
	if err != nil {
		return nil, err
	}
	own, err := read(folder)
	if err != nil {
		return nil, err
	}
	own = maps.Clone(own)
	own["global"] = all["global"]
	return own, nil
}

func execute(text string, data any) (string, error) {
	parsed, err := template.New("").Funcs(template.FuncMap{"tpl": execute}).Parse(text)
	if err != nil {
		return "", err
	}
	var rendered strings.Builder
	err = parsed.Execute(&rendered, data)
	return rendered.String(), err
}
