package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// Format is a rendering of a report.
type Format string

const (
	// Table has a line a workload, made for people and terminals.
	Table Format = "table"
	// Wide is Table with revisions, sidecars and every change.
	Wide Format = "wide"
	// JSON is the whole report, two spaces of indentation.
	JSON Format = "json"
	// YAML is the same values as JSON.
	YAML Format = "yaml"
)

// TextOptions adapt a rendering to where it is shown.
type TextOptions struct {
	// Width is the terminal's number of columns; 0 sets no limit.
	Width int
	// Colour allows ANSI colours.
	Colour bool
}

// Write renders the report in one of the formats; it fails on an unknown one
// and when w does.
func (r *Report) Write(w io.Writer, format Format, o TextOptions) error {
	switch format {
	case Table:
		return r.writeTable(w, o)
	case Wide:
		return r.writeWide(w, o)
	case JSON, YAML:
		return Marshal(w, format, r)
	case HTML:
		return Page{Report: r}.WriteHTML(w)
	case CSV:
		return r.writeCSV(w)
	case Markdown:
		return r.writeMarkdown(w)
	case JUnit:
		return r.writeJUnit(w)
	case PolicyReport:
		return r.writeOpenReports(w)
	}
	return fmt.Errorf("unknown format %q", format)
}

// Marshal writes any value as JSON or YAML, free of characters that a
// terminal would take for commands.
func Marshal(w io.Writer, format Format, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode %T: %w", value, err)
	}
	out := escapeJSON(text.Bytes())
	if format == YAML {
		var err error
		if out, err = yaml.JSONToYAML(out); err != nil {
			return fmt.Errorf("encode %T as YAML: %w", value, err)
		}
	}
	_, err := w.Write(out)
	return err
}
