package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

func renderPage(t *testing.T, p report.Page) string {
	t.Helper()
	var out bytes.Buffer
	if err := p.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// between returns what stands between two texts of a page.
func between(t *testing.T, page, start, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, start)
	found, _, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("no %s…%s in the page", start, end)
	}
	return found
}

func TestHTMLAllowsItsOwnScriptAndStyleOnly(t *testing.T) {
	page := renderPage(t, report.Page{Report: read(t, report.DriftReport, "audit", 2).Masked(mask.Constant())})
	policy := html.UnescapeString(between(t, page, `http-equiv="Content-Security-Policy" content="`, `"`))
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := "default-src 'none'; script-src " + hash(between(t, page, "<script>", "</script>")) +
		"; style-src " + hash(between(t, page, "<style>", "</style>")) +
		"; img-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'"
	if diff := cmp.Diff(want, policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestHTMLHoldsNoAddress(t *testing.T) {
	page := renderPage(t, report.Page{Report: report.New(report.DriftReport, clock, nil, 0).Masked(mask.Constant())})
	page = strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "") // the name of a namespace
	if found := regexp.MustCompile(`https?://[^"']*|(src|action)=|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page holds %q", found)
	}
	t.Logf("an empty page is %d bytes", len(page))
}

func TestHTMLScriptParsesNoMarkup(t *testing.T) {
	page := renderPage(t, report.Page{Report: report.New(report.DriftReport, clock, nil, 0).Masked(mask.Constant())})
	script := between(t, page, "<script>", "</script>")
	if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|\beval\b|new Function`).FindString(script); found != "" {
		t.Errorf("the script uses %s", found)
	}
}

func TestHTMLDataIsTheReport(t *testing.T) {
	const nasty = "</script><script>alert(1)</script>&\u202e\u2028"
	shared := verdict.Change{Part: "container/p", Path: nasty, From: json.RawMessage(`"` + nasty + `"`), To: json.RawMessage(`2`)}
	other := verdict.Change{Part: "container/p", Path: "image", To: json.RawMessage(`"<b>"`)}
	item := func(name string, changes ...verdict.Change) report.Item {
		return report.Item{Namespace: "shop", Kind: "Deployment", Name: name, State: verdict.Drifted,
			Revisions: []report.Revision{{State: verdict.Drifted, Changes: changes, Autoscaled: changes[:1]}}}
	}
	r := report.New(report.DriftReport, clock, []report.Item{item("a", shared), item("b"+nasty, other, shared)}, 0)
	p := report.Page{
		Report: r.Masked(mask.Constant()), Title: nasty, History: []report.Point{{Time: clock, DriftPercent: 12.5}},
		Live: report.Live{URL: "report.json", Every: 30 * time.Second},
	}
	page := renderPage(t, p)
	if n := strings.Count(page, "<script"); n != 3 {
		t.Errorf("%d script elements, want the script, the states and the data", n)
	}
	if strings.ContainsAny(page, "\u202e\u2028") {
		t.Error("a character that turns or breaks text stands in the page as it is")
	}
	data := between(t, page, `<script id="data" type="application/json">`, "</script>")
	var fetched bytes.Buffer
	if err := p.WriteJSON(&fetched); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fetched.String(), data); diff != "" {
		t.Errorf("a live page's JSON is another one (-fetched +embedded):\n%s", diff)
	}
	var got struct {
		Report struct {
			GeneratedAt time.Time
			Items       []struct {
				Name      string
				Revisions []struct{ Changes, Autoscaled []int }
			}
		}
		Changes []verdict.Change
		Details []string
		History []report.Point
		Live    struct {
			URL          string
			EverySeconds int
		}
	}
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	escaped := verdict.Change{Part: "container/p", Path: nasty, From: got.Changes[0].From, To: json.RawMessage(`2`)}
	var from string
	if err := json.Unmarshal(got.Changes[0].From, &from); err != nil || from != nasty {
		t.Errorf("from %q, %v", from, err)
	}
	other.To = json.RawMessage(`"\u003cb\u003e"`)
	if got.Changes[0].ID == "" || got.Changes[0].ID == got.Changes[1].ID {
		t.Errorf("IDs %q and %q", got.Changes[0].ID, got.Changes[1].ID)
	}
	escaped.ID, other.ID = got.Changes[0].ID, got.Changes[1].ID
	if diff := cmp.Diff([]verdict.Change{escaped, other}, got.Changes); diff != "" {
		t.Errorf("changes, each once (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 0}, got.Report.Items[1].Revisions[0].Changes); diff != "" {
		t.Errorf("changes of %s (-want +got):\n%s", got.Report.Items[1].Name, diff)
	}
	if !got.Report.GeneratedAt.Equal(r.GeneratedAt) || got.Report.Items[1].Name != "b"+nasty || got.Live.URL != "report.json" || got.Live.EverySeconds != 30 ||
		len(got.History) != 1 || got.History[0].DriftPercent != 12.5 || !strings.HasPrefix(got.Details[1], "p: image added") {
		t.Errorf("data: %+v", got)
	}
	if !strings.Contains(page, "connect-src &#39;self&#39;") {
		t.Error("a live page may not fetch its data")
	}
}

// One change may be spent in one workload, and not in another.
func TestHTMLTellsApartWhatIsSpent(t *testing.T) {
	item := func(name string, spent bool) report.Item {
		return report.Item{Namespace: "shop", Kind: "Deployment", Name: name, State: verdict.Drifted, Revisions: []report.Revision{{
			State: verdict.Drifted, Changes: []verdict.Change{{Part: "initContainer/setup", Path: "image", To: json.RawMessage(`"setup:2"`), Spent: spent}},
		}}}
	}
	r := report.New(report.DriftReport, clock, []report.Item{item("a", false), item("b", true), item("c", false)}, 0)
	var data bytes.Buffer
	if err := (report.Page{Report: r.Masked(mask.Constant())}).WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Report struct {
			Items []struct{ Revisions []struct{ Changes []int } }
		}
		Changes []verdict.Change
	}
	if err := json.Unmarshal(data.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} {
		if at := got.Report.Items[i].Revisions[0].Changes[0]; got.Changes[at].Spent != want {
			t.Errorf("%s: spent is %t", r.Items[i].Name, !want)
		}
	}
	if len(got.Changes) != 2 {
		t.Errorf("%d changes, want each once", len(got.Changes))
	}
}

// The page has the last changes of a journal, and neither the places nor the workloads of
// those: the report has them.
func TestHTMLHasTheLastOfTheJournal(t *testing.T) {
	entries := make([]journal.Entry, 1000)
	for i := range entries {
		entries[i] = journal.Entry{ID: strconv.Itoa(i), Began: journal.Interval{By: clock}, Names: []journal.Name{{Name: "secretive"}}, Places: []journal.Place{{Path: "secretive"}}, Parts: []string{"secretive"}}
	}
	var data bytes.Buffer
	if err := (report.Page{Report: report.New(report.DriftReport, clock, nil, 0).Masked(mask.Constant()), Journal: entries}).WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	var got struct{ Journal []journal.Entry }
	if err := json.Unmarshal(data.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Journal) != 200 || got.Journal[0].ID != "0" || strings.Contains(data.String(), "secretive") {
		t.Errorf("%d changes, the first is %+v", len(got.Journal), got.Journal[0])
	}
	if len(entries[0].Names) != 1 || len(entries[0].Places) != 1 {
		t.Error("the journal itself has lost what it had")
	}
}

func TestHTMLWithoutScriptSaysTheSummary(t *testing.T) {
	page := renderPage(t, report.Page{Report: read(t, report.DriftReport, "audit", 2).Masked(mask.Constant())})
	if got := between(t, page, "<noscript>", "</noscript>"); !strings.Contains(got, "11 workloads, 24 Pods: 1 Blocked") {
		t.Errorf("without JavaScript: %s", got)
	}
}

func TestStateColoursStandOutInBothThemes(t *testing.T) {
	css := between(t, renderPage(t, report.Page{Report: report.New(report.DriftReport, clock, nil, 0).Masked(mask.Constant())}), "<style>", "</style>")
	seen := map[string]verdict.State{}
	for _, state := range append(verdict.States(), "AStateOfTheFuture") {
		colour := report.StateColour(state)
		if other, ok := seen[colour]; ok {
			t.Errorf("%s and %s are both %s", state, other, colour)
		}
		seen[colour] = state
		for _, name := range []string{"page", "card", "hover"} {
			themes := regexp.MustCompile(`--` + name + `: light-dark\((#\w{6}), (#\w{6})\)`).FindStringSubmatch(css)
			if themes == nil {
				t.Fatalf("no --%s in the style", name)
			}
			for _, ground := range themes[1:] {
				if got := contrast(t, colour, ground); got < 3 {
					t.Errorf("%s: contrast of %s on %s (--%s) is %.2f, want at least 3", state, colour, ground, name, got)
				}
			}
		}
	}
}

func TestTextOfThePageIsLegibleInBothThemes(t *testing.T) {
	css := between(t, renderPage(t, report.Page{Report: report.New(report.DriftReport, clock, nil, 0).Masked(mask.Constant())}), "<style>", "</style>")
	themes := map[string][]string{}
	for _, found := range regexp.MustCompile(`--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)`).FindAllStringSubmatch(css, -1) {
		themes[found[1]] = found[2:]
	}
	for ground, texts := range map[string][]string{
		"page": {"text", "muted", "alarm-text"}, "card": {"text", "muted", "link", "calm", "version", "behaviour", "alarm-text"}, "hover": {"text", "muted", "link"},
		"removed-under": {"removed"}, "added-under": {"added"}, "alarm-under": {"text", "muted", "link", "alarm-text"},
	} {
		for _, text := range texts {
			for theme := range 2 {
				if got := contrast(t, themes[text][theme], themes[ground][theme]); got < 4.5 {
					t.Errorf("theme %d: contrast of --%s on --%s is %.2f, want at least 4.5", theme, text, ground, got)
				}
			}
		}
	}
}

// contrast is WCAG 2's ratio of two colours, 1 to 21.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(colour string) float64 {
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			value, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatalf("colour %q: %v", colour, err)
			}
			channel := float64(value) / 255
			if channel <= 0.04045 {
				channel /= 12.92
			} else {
				channel = math.Pow((channel+0.055)/1.055, 2.4)
			}
			sum += weight * channel
		}
		return sum
	}
	x, y := luminance(a)+0.05, luminance(b)+0.05
	return max(x, y) / min(x, y)
}
