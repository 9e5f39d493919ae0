// Command gendocs writes what is generated of the documentation: the command
// reference, the JSON Schemas, and the parts of docs/configuration.md that
// follow from the configuration's types.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/cli"
	"github.com/sidecar-drift/sidecar-drift/internal/doctor"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func write(docs string) error {
	files, err := generate(docs)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files of the documentation's directory by their path in
// it. The sources are looked for beside it.
func generate(docs string) (map[string]string, error) {
	files := map[string]string{}
	for name, text := range cli.Reference() {
		files[filepath.Join("reference", name)] = text
	}
	comments, err := readComments(filepath.Dir(docs), "auditor/config", "auditor/report", "auditor/verdict", "auditor/cause", "auditor/journal", "auditor/versions", "auditor/notify", "internal/doctor")
	if err != nil {
		return nil, err
	}
	configuration := reflect.ValueOf(config.Default())
	for name, s := range map[string]*schema{
		"configuration": describe(configuration.Type(), comments, options{
			kind: config.Kind, closed: true, defaults: configuration,
		}),
		"driftreport":   describe(reflect.TypeFor[report.Report](), comments, options{kind: report.DriftReport}),
		"changehistory": describe(reflect.TypeFor[report.History](), comments, options{kind: report.ChangeHistory}),
		"versionreport": describe(reflect.TypeFor[report.Versions](), comments, options{kind: report.VersionReport}),
		"notification":  describeEvent(comments),
		"doctorreport":  describe(reflect.TypeFor[doctor.Report](), comments, options{kind: doctor.Kind}),
		"rolloutreport": describe(reflect.TypeFor[report.Report](), comments, options{kind: report.RolloutReport}),
	} {
		if files[filepath.Join("schema", name+".schema.json")], err = s.text(); err != nil {
			return nil, err
		}
	}
	page, err := os.ReadFile(filepath.Join(docs, "configuration.md"))
	if err != nil {
		return nil, err
	}
	example, err := os.ReadFile(filepath.Join(docs, "examples", "configuration.yaml"))
	if err != nil {
		return nil, err
	}
	text, err := replace(string(page), "keys", keyTable(configuration, comments))
	if err != nil {
		return nil, err
	}
	files["configuration.md"], err = replace(text, "example", "```yaml\n"+string(example)+"```\n")
	return files, err
}
