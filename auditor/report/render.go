package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
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
	// GroupBy is by what a table's rows are grouped; ByWorkload if empty.
	GroupBy GroupBy
	// Labels have a column each in a table.
	Labels []string
}

// write renders the report in one of the formats: see [Shown.Write].
func (r *Report) write(w io.Writer, format Format, o TextOptions) error {
	switch format {
	case Table:
		if r.Kind == DriftReport && o.GroupBy != "" && o.GroupBy != ByWorkload {
			return r.writeGrouped(w, o)
		}
		return r.writeTable(w, o)
	case Wide:
		return r.writeWide(w, o)
	case JSON:
		return r.writeJSON(w)
	case YAML:
		return Marshal(w, format, r)
	case HTML:
		return Page{Report: Shown{r}}.WriteHTML(w)
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
	out, err := encode("", value)
	if err != nil {
		return err
	}
	if format == YAML {
		if out, err = printable.YAML(out); err != nil {
			return fmt.Errorf("encode %T as YAML: %w", value, err)
		}
	}
	_, err = w.Write(out)
	return err
}

// encode returns a value's JSON with a newline behind it; prefix is before each of
// its lines but the first.
func encode(prefix string, value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(prefix, "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	return printable.JSON(text.Bytes()), nil
}

// writeJSON writes what Marshal does, one item after the other: of a large report
// the text is several times as much as the values.
func (r *Report) writeJSON(w io.Writer) error {
	around := *r
	around.Items = []Item{}
	text, err := encode("", around)
	if err != nil {
		return err
	}
	const end = "]\n}\n" // items are the last member
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s", bytes.TrimSuffix(text, []byte(end)))
	for i, item := range r.Items {
		text, err := encode("    ", item)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, "\n    %s", bytes.TrimSuffix(text, []byte("\n")))
	}
	if len(r.Items) > 0 {
		fmt.Fprint(out, "\n  ")
	}
	fmt.Fprint(out, end)
	return out.Flush() // with the first error of all
}
