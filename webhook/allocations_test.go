// The race detector has pools forget.
//go:build !race

package webhook

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// TestAllocations: a review takes memory for what is injected into the Pod, and
// none for what is not.
func TestAllocations(t *testing.T) {
	const most = 200
	captured := readFixture(t)
	want := allocationsOf(t, captured)
	if want.count >= most {
		t.Errorf("%d allocations, want less than %d", want.count, most)
	}
	for name, body := range map[string][]byte{
		"settings":      podOf(t, 64_000),
		"many settings": podOf(t, 512_000),
		"annotations": with(t, captured,
			`"annotations":{`, `"annotations":{N,`, `"a0":"x"`,
			`"f:generateName":{}`, `"f:annotations":{".":{},N},"f:generateName":{}`, `"f:a0":{}`),
		"labels": with(t, captured,
			`"labels":{`, `"labels":{N,`, `"a0":"x"`,
			`"f:app":{}`, `N,"f:app":{}`, `"f:a0":{}`),
		"arguments": with(t, captured,
			`"image":"nginx:1.27",`, `"image":"nginx:1.27","args":[N],`, `"--argument=0"`,
			`"f:image":{}`, `"f:args":{},"f:image":{}`, ``),
		"ports": with(t, captured,
			`"image":"nginx:1.27",`, `"image":"nginx:1.27","ports":[N],`, `{"containerPort":0,"protocol":"TCP"}`,
			`"f:image":{}`, `"f:image":{},"f:ports":{N}`, `"k:{\"containerPort\":0,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			got := allocationsOf(t, body)
			if got.count > want.count+1 || got.bytes > want.bytes+want.bytes/2 {
				t.Errorf("%d bytes take %+v, the captured review %+v", len(body), got, want)
			}
		})
	}
}

func podOf(t *testing.T, size int) []byte {
	t.Helper()
	body, err := podtest.Grown(readFixture(t), size)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// with replaces each text by another, in which N stands for a thousand things, 0
// in a thing for its number. Replacements are triples.
func with(t *testing.T, body []byte, replacements ...string) []byte {
	t.Helper()
	text := string(body)
	for ; len(replacements) > 0; replacements = replacements[3:] {
		things := make([]string, 1000)
		for i := range things {
			things[i] = strings.Replace(replacements[2], "0", strconv.Itoa(1000+i), 1)
		}
		if n := strings.Count(text, replacements[0]); n != 1 {
			t.Fatalf("%s is there %d times", replacements[0], n)
		}
		text = strings.Replace(text, replacements[0], strings.Replace(replacements[1], "N", strings.Join(things, ","), 1), 1)
	}
	return []byte(text)
}

type allocated struct{ count, bytes int }

// allocationsOf returns what a review takes, one of many. Its Pod must be the
// captured one but for what is not injected.
func allocationsOf(t *testing.T, body []byte) allocated {
	t.Helper()
	const calls = 200
	handler := NewHandler(logr.Discard(), prometheus.NewRegistry())
	reader := bytes.NewReader(body)
	request := &http.Request{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(reader), ContentLength: int64(len(body)),
	}
	answer := answer{header: http.Header{}}
	call := func() {
		reader.Reset(body)
		answer.Reset()
		handler.ServeHTTP(&answer, request)
	}
	call()
	if stamp := newHarness().review(t, string(body)); !bytes.Equal(stamp.Patch, newHarness().review(t, string(readFixture(t))).Patch) {
		t.Fatalf("another stamp: %s", stamp.Patch)
	}
	// A collection empties pools, and so does another number of processors.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	call()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	count := testing.AllocsPerRun(calls, call)
	runtime.ReadMemStats(&after)
	return allocated{int(count), int(after.TotalAlloc-before.TotalAlloc) / (calls + 1)}
}

// answer keeps its memory.
type answer struct {
	bytes.Buffer
	header http.Header
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(int)     {}
