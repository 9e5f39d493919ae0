package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// Generate writes all that is made of the chart, or into it, in a directory of
// manifests.
func Generate(ctx context.Context, manifests string) error {
	dir := filepath.Join(manifests, "chart")
	if err := copyFiles(manifests, dir); err != nil {
		return err
	}
	if err := writeSchema(filepath.Join(manifests, "..", "docs", "schema", "configuration.schema.json"), filepath.Join(dir, "values.schema.json")); err != nil {
		return err
	}
	if err := writeReadme(ctx, dir); err != nil {
		return err
	}
	return writeKustomizations(ctx, manifests)
}

// copyFiles copies what the chart reads, as a chart holds no file of another folder.
func copyFiles(manifests, dir string) error {
	for from, to := range map[string]string{
		"prometheus/rules.yaml":      "rules.yaml",
		"grafana/sidecar-drift.json": "sidecar-drift.json",
	} {
		text, err := os.ReadFile(filepath.Join(manifests, filepath.FromSlash(from)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "files", to), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeSchema puts the configuration's schema into that of the values, where
// apiVersion and kind are not said.
func writeSchema(configuration, values string) error {
	config, err := readSchema(configuration)
	if err != nil {
		return err
	}
	schema, err := readSchema(values)
	if err != nil {
		return err
	}
	defs, _ := config["$defs"].(map[string]any)
	if defs == nil {
		return fmt.Errorf("%s has no $defs", configuration)
	}
	for _, key := range []string{"$schema", "$defs", "required"} {
		delete(config, key)
	}
	properties, _ := config["properties"].(map[string]any)
	delete(properties, "apiVersion")
	delete(properties, "kind")
	defs["Configuration"] = config
	schema["$defs"] = defs
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(values, append(text, '\n'), 0o644)
}

func readSchema(file string) (map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return schema, nil
}

// writeReadme has helm-docs write the README of a chart.
func writeReadme(ctx context.Context, dir string) error {
	set, err := binaries.Helm3(ctx)
	if err != nil {
		return err
	}
	docs := exec.CommandContext(ctx, set.Path("helm-docs"), "--chart-search-root", dir, "--sort-values-order", "file", "--log-level", "warning")
	if out, err := docs.CombinedOutput(); err != nil {
		return fmt.Errorf("helm-docs: %w\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return err
	}
	// helm-docs' own strict mode takes every value for undocumented.
	if silent := undocumented.FindAllString(string(text), -1); len(silent) > 0 {
		return fmt.Errorf("values.yaml does not say what these are for:\n%s", strings.Join(silent, "\n"))
	}
	return nil
}

// undocumented are rows of the table of values whose last column is empty.
var undocumented = regexp.MustCompile(`(?m)^\| \S+ \|.*\|\s+\|$`)

// ofHelm are lines that say of an object how it was installed.
var ofHelm = regexp.MustCompile(`(?m)^ *(app\.kubernetes\.io/(instance|version|managed-by)|helm\.sh/chart): .*\n`)

// writeKustomizations writes the kustomizations' files: those of the default values,
// and of each component's those that it adds.
func writeKustomizations(ctx context.Context, manifests string) error {
	if err := writeFiles(ctx, manifests, "base", "namespace.create=true"); err != nil {
		return err
	}
	for _, c := range components {
		if c.alone {
			continue
		}
		_, values := together(c)
		if err := writeFiles(ctx, manifests, filepath.Join("components", c.name), values...); err != nil {
			return err
		}
	}
	return writeFiles(ctx, manifests, "prometheus", "monitoring.enabled=true")
}

// writeFiles writes what the templates of one folder are rendered to.
func writeFiles(ctx context.Context, manifests, dir string, values ...string) error {
	files, err := Render(ctx, filepath.Join(manifests, "chart"), values...)
	if err != nil {
		return err
	}
	written := 0
	for _, file := range files {
		if folder(file.Template) != dir {
			continue
		}
		text := fmt.Sprintf("# Generated from manifests/chart/templates/%s (go generate ./test/chart). Do not edit.\n", file.Template) +
			ofHelm.ReplaceAllString(strings.Join(file.Documents, "---\n"), "")
		if err := os.WriteFile(filepath.Join(manifests, filepath.FromSlash(file.Template)), []byte(text), 0o644); err != nil {
			return err
		}
		written++
	}
	if written == 0 {
		return fmt.Errorf("no template of the chart is rendered to %s with %v", dir, values)
	}
	return nil
}
