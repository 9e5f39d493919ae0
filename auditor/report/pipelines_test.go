package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

var pipelineFormats = []report.Format{report.CSV, report.Markdown, report.JUnit, report.PolicyReport}

func written(t *testing.T, r *report.Report, format report.Format) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.Masked(mask.Constant()).Write(&out, format, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPipelineFormatsLookAsInTheGoldenFiles(t *testing.T) {
	r := read(t, report.DriftReport, "pipelines", 1)
	several := read(t, report.DriftReport, "pipelines", 0).Select(verdict.InSync, verdict.Missing)
	for i := range several.Items {
		several.Items[i].Cluster = "eu/" + strconv.Itoa(i)
	}
	empty := report.New(report.DriftReport, clock, nil, 3)
	for format, extension := range map[report.Format]string{
		report.CSV: "csv", report.Markdown: "md", report.JUnit: "xml", report.PolicyReport: "policyreport.yaml",
	} {
		t.Run(string(format), func(t *testing.T) {
			golden(t, "pipelines."+extension, written(t, r, format))
			golden(t, "pipelines-clusters."+extension, written(t, several, format))
			golden(t, "pipelines-empty."+extension, written(t, empty, format))
		})
	}
}

func TestMaskedHidesSecretsAndLeavesTheOriginal(t *testing.T) {
	r := read(t, report.DriftReport, "pipelines", 0)
	r.Group()
	var before bytes.Buffer
	if err := report.Marshal(&before, report.JSON, r); err != nil {
		t.Fatal(err)
	}
	masked := written(t, r, report.JSON)
	if bytes.Contains(masked, []byte("-secret")) || bytes.Count(masked, []byte("***masked***")) != 4 {
		t.Errorf("masked:\n%s", masked)
	}
	var after bytes.Buffer
	if err := r.Masked(mask.Off()).Write(&after, report.JSON, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.String(), after.String()); diff != "" {
		t.Errorf("the original changed (-before +after):\n%s", diff)
	}
}

func TestCSVParsesAndHoldsNoFormula(t *testing.T) {
	r := read(t, report.DriftReport, "pipelines", 0)
	records, err := csv.NewReader(bytes.NewReader(written(t, r, report.CSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(r.Items)+1 {
		t.Errorf("%d lines, want %d", len(records), len(r.Items)+1)
	}
	for _, record := range records {
		for _, cell := range record {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("a spreadsheet computes %q", cell)
			}
		}
	}
}

func TestJUnitIsXMLAndItsCountsAreRight(t *testing.T) {
	text := written(t, read(t, report.DriftReport, "pipelines", 0), report.JUnit)
	decoder := xml.NewDecoder(bytes.NewReader(text))
	found, claimed := map[string]int{}, map[string]int{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		found[start.Name.Local]++
		for _, attribute := range start.Attr {
			if n, err := strconv.Atoi(attribute.Value); err == nil && start.Name.Local == "testsuite" {
				claimed[attribute.Name.Local] += n
			}
		}
	}
	got := map[string]int{
		"tests": found["testcase"], "failures": found["failure"], "errors": found["error"], "skipped": found["skipped"], "time": 0,
	}
	if diff := cmp.Diff(claimed, got); diff != "" {
		t.Errorf("(-claimed +found):\n%s", diff)
	}
	want := map[string]int{"tests": 13, "failures": 6, "errors": 1, "skipped": 4, "time": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// many is a report of n workloads in one namespace, with changes as long as a
// hostile injector may make them.
func many(n int) *report.Report {
	long := json.RawMessage(`"` + strings.Repeat("語|`", 5000) + `"`)
	items := make([]report.Item, n)
	for i := range items {
		items[i] = report.Item{
			Namespace: "shop", Kind: "Deployment", Name: fmt.Sprintf("web-%04d", i), State: verdict.Drifted,
			Pods: map[verdict.State]int{verdict.Drifted: 1},
			Revisions: []report.Revision{{Name: "r", State: verdict.Drifted, Pods: 1, Changes: []verdict.Change{
				{Part: "container/p", Path: "env[" + strings.Repeat("語", 500) + "].value", From: long, To: long},
				{Part: "container/p", Path: "image", From: long},
			}}},
		}
	}
	return report.New(report.DriftReport, clock, items, 0)
}

func TestMarkdownFitsAComment(t *testing.T) {
	for n, want := range map[int]string{
		1:    "",
		40:   "characters:** the changes of ",
		5000: "workloads of the table, the changes of ",
	} {
		r := many(n)
		r.Notes = []string{strings.Repeat("語_", 20000), strings.Repeat("|", 20000)}
		text := string(written(t, r, report.Markdown))
		if len(text) > 65536 {
			t.Errorf("%d workloads: %d bytes", n, len(text))
		}
		if got := strings.Contains(text, "Left out"); got != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%d workloads: no %q in …%s", n, want, text[len(text)-300:])
		}
		if open, closed := strings.Count(text, "<details>"), strings.Count(text, "</details>"); open != closed || open == 0 {
			t.Errorf("%d workloads: %d <details>, %d </details>", n, open, closed)
		}
	}
}

func TestOpenReportsAreSmallEnoughToApply(t *testing.T) {
	const n = 1000
	objects := many(n).Masked(mask.Constant()).OpenReports()
	results := 0
	for i, object := range objects {
		want := "sidecar-drift"
		if i > 0 {
			want = fmt.Sprintf("sidecar-drift-%d", i+1)
		}
		if object.Name != want || object.Namespace != "shop" {
			t.Errorf("object %d is %s/%s, want shop/%s", i, object.Namespace, object.Name, want)
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 256<<10 {
			t.Errorf("%s takes %d bytes", object.Name, len(text))
		}
		if object.Summary.Fail != len(object.Results) {
			t.Errorf("%s: %d of %d failed", object.Name, object.Summary.Fail, len(object.Results))
		}
		results += len(object.Results)
	}
	if results != n || len(objects) < 2 {
		t.Errorf("%d results in %d objects, want %d", results, len(objects), n)
	}
}

// What is in a Pod must not reach a terminal or a reader of XML as a command.
func TestPipelineFormatsHoldNoControlCharacters(t *testing.T) {
	r := read(t, report.DriftReport, "pipelines", 0)
	for i := range r.Items {
		item := &r.Items[i]
		item.Cluster += "c\x1b\u202e\xff"
		item.Kind += "\x1b]0;x\x07\ufffe"
		item.Rollout.Reason += "\x9b\r\n\x00"
		item.State += "\x7f"
	}
	for _, format := range pipelineFormats {
		for line := range strings.Lines(string(written(t, r, format))) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl) || !utf8.ValidString(line) || strings.Contains(line, "\u202e") {
				t.Errorf("%s: %q", format, line)
			}
		}
	}
}
