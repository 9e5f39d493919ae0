package ui

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

var screenshots = flag.String("screenshots", "", "keep the screenshots in this directory")

// patience is how long the browser may take for one step before it counts as
// stuck.
const patience = time.Minute

// browser is shared by all tests; each opens a tab of its own.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withBrowser(m.Run))
}

func withBrowser(run func() int) int {
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		fmt.Fprintln(os.Stderr, "make test-ui needs Chromium and found none on the PATH; on Debian: apt-get install chromium")
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has no user namespace to sandbox in
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	first, stop := chromedp.NewContext(allocator)
	defer stop()
	if err := chromedp.Do(first); err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", program, err)
		return 1
	}
	browser = first
	return run()
}

// tab is an open page. Its test fails at the end if the page wrote an error or
// a warning to the console, violated its policy, or asked for anything but
// what it may.
type tab struct {
	t    *testing.T
	ctx  context.Context
	mu   sync.Mutex
	said []string // guarded by mu
	got  []string // URLs that were asked for, guarded by mu

	expected string // may stand in what the page says
}

// expect lets the page say what holds the text.
func (b *tab) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = text
}

// screen is what a tab is shown on; zero values are a wide one with light
// colours.
type screen struct {
	width int64
	dark  bool
}

func open(t *testing.T, url string, on screen) *tab {
	t.Helper()
	b := newTab(t, on)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("main")))
	return b
}

func newTab(t *testing.T, on screen) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.said {
			if b.expected != "" && strings.Contains(text, b.expected) {
				continue
			}
			t.Errorf("the page said: %s", text)
		}
	})
	b.show(on)
	call(b, network.Enable, network.EnableParams{})
	return b
}

// show moves the tab to another screen.
func (b *tab) show(on screen) {
	b.t.Helper()
	theme := "light"
	if on.dark {
		theme = "dark"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	b.do(chromedp.EmulateViewport(cmp.Or(on.width, 1280), 900))
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprintf("console %s: %v", event.Type, event.Args))
	case *runtime.EventExceptionThrown:
		said := event.ExceptionDetails.Text
		if thrown := event.ExceptionDetails.Exception; thrown != nil {
			said += " " + thrown.Description
		}
		b.said = append(b.said, said)
	case *log.EventEntryAdded:
		b.said = append(b.said, fmt.Sprintf("%s %s: %s", event.Entry.Source, event.Entry.Level, event.Entry.Text))
	case *page.EventJavascriptDialogOpening:
		b.said = append(b.said, "a dialog: "+event.Message)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(event.Request.URL, "data:") {
			b.got = append(b.got, event.Request.URL)
		}
	}
}

func (b *tab) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.got...)
}

// do takes steps, one after the other.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval is the value of an expression in the page, or what its promise comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits for an expression to hold.
func (b *tab) until(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience))); err != nil {
		b.t.Fatalf("%s does not hold: %v; the page shows:\n%s", expression, err, eval[string](b, "document.body.innerText"))
	}
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// press sends keys to whatever has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// slash presses the key that leads to the search. A key event of its own, as
// KeyEvent has the character arrive even where the page took the key.
func (b *tab) slash() {
	b.t.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Text: "/"})
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: "/"})
}

// names lists the workloads in the table, in their order.
func (b *tab) names() string {
	b.t.Helper()
	return strings.Join(eval[[]string](b, `[...document.querySelectorAll('button.open')].map((button) => button.textContent)`), " ")
}

// shoot keeps a picture of the whole page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	eval[bool](b, `scrollTo(0, 0) === undefined`) // else the table's head stands where it was scrolled to
	b.keep(name, chromedp.FullScreenshot(100))
}

// glance keeps a picture of what is in sight.
func (b *tab) glance(name string) {
	b.t.Helper()
	b.keep(name, chromedp.CaptureScreenshot())
}

func (b *tab) keep(name string, shot chromedp.Action[[]byte]) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, shot)
	if err != nil {
		b.t.Fatal(err)
	}
	dir := *screenshots
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "sidecar-drift-screenshots")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(dir, name+".png")
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("screenshot: %s", path)
}

// file writes a page as the command does, and returns its address.
func file(t *testing.T, p report.Page) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drift.html")
	if err := os.WriteFile(path, render(t, p), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

func render(t *testing.T, p report.Page) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := p.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// serve answers with a page that fetches its data again every second; next
// changes what it gets.
func serve(t *testing.T, p report.Page) (url string, next func(*report.Page, int)) {
	t.Helper()
	p.Live = report.Live{URL: "report.json", Every: time.Second}
	shell := render(t, p)
	var mu sync.Mutex
	now, status := &p, http.StatusOK
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(shell))
	})
	mux.HandleFunc("GET /report.json", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := now.WriteJSON(w); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/", func(page *report.Page, code int) {
		mu.Lock()
		defer mu.Unlock()
		now, status = page, code
	}
}
