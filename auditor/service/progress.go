package service

import (
	"context"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// sayEvery is how often the log says how far the first audit is.
const sayEvery = 30 * time.Second

// progress is how far the first audit is, which may take minutes. Its methods may be
// called concurrently.
type progress struct {
	log    logr.Logger
	metric func(share float64)

	mu          sync.Mutex
	done, total int
	said        time.Time // when the log said so last
	ended       bool
}

// begin says that nothing is known yet.
func (p *progress) begin() { p.metric(0) }

// judged takes down how many revisions of workloads are judged.
func (p *progress) judged(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || total == 0 {
		return
	}
	if p.said.IsZero() {
		p.said = time.Now()
	}
	p.done, p.total = done, total
	// A round that has judged what it began with may go on: it has not ended.
	p.metric(min(float64(done)/float64(total), 0.99))
	if now := time.Now(); now.Sub(p.said) >= sayEvery {
		p.said = now
		p.log.Info("Auditing", "judged", done, "of", total)
	}
}

// end says that everything is known from now on.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		p.metric(1)
	}
}

// far is how many revisions are judged of how many; none of none before the first.
func (p *progress) far() (done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.total
}

// notYet is the page before there is a report: how far the first audit is, or which
// replica has one.
type notYet struct {
	Namespace, Leader string
	Done, Total       int
}

// refresh is after how many seconds a browser looks again.
const refresh = "5"

var notYetPage = template.Must(template.New("not yet").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="` + refresh + `">
<title>sidecar-drift</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; padding: 0 1rem }
progress { width: 100%; height: 1.2rem }
code { overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
{{- if .Leader}}
<h1>Another replica audits</h1>
<p>This one does not: {{.Leader}} does, the holder of the Lease. Its page:</p>
<p><code>kubectl -n {{.Namespace}} port-forward pod/{{.Leader}} 8082</code></p>
{{- else if .Total}}
<h1>The first audit is under way</h1>
<progress id="judged" value="{{.Done}}" max="{{.Total}}"></progress>
<p><label for="judged">{{.Done}} of {{.Total}} revisions of workloads are judged.</label> This page shows what was found when all are.</p>
{{- else}}
<h1>No audit has ended here yet</h1>
<p>Of several replicas one audits, the holder of the Lease. This page looks again every few seconds.</p>
{{- end}}
</main>
</body>
</html>
`))

// answerNotYet says that there is no report, and why. Programs are told by the status.
func (p *page) answerNotYet(w http.ResponseWriter, r *http.Request) {
	view := notYet{}
	if p.progress != nil {
		view.Done, view.Total = p.progress.far()
	}
	if view.Total == 0 && p.leader != nil {
		view.Namespace, view.Leader = p.leader(r.Context())
	}
	w.Header().Set("Retry-After", refresh)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = notYetPage.Execute(w, view) // the client has gone
}

// leaderPatience is how long the page waits for the Lease.
const leaderPatience = 2 * time.Second

// leaderOf returns where the holder of the Lease runs; empty where nobody else holds it,
// or that cannot be read. controller-runtime holds it as HOST_UUID, and a Pod's host is
// called like it.
func leaderOf(leases coordinationv1client.LeasesGetter, options Options, self string) func(context.Context) (namespace, pod string) {
	return func(ctx context.Context) (string, string) {
		ctx, cancel := context.WithTimeout(ctx, leaderPatience)
		defer cancel()
		lease, err := leases.Leases(options.Namespace).Get(ctx, options.Name, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return "", ""
		}
		holder := *lease.Spec.HolderIdentity
		if at := strings.LastIndex(holder, "_"); at > 0 {
			holder = holder[:at]
		}
		if holder == self {
			return "", ""
		}
		return options.Namespace, holder
	}
}
