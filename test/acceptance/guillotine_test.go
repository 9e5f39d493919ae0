package acceptance

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// guillotine stands between a process and the API server, and kills the process at one
// of its writes: before the API server hears of it, or once it has answered and before the
// process hears of that. So a process is killed between any two of its writes, for certain.
type guillotine struct {
	kubeconfig string

	mu     sync.Mutex
	at     func(n int, write string) bool // which write, the n-th from 1; nil: none
	after  bool                           // the API server has answered it
	kill   func()
	writes []string // so far, and that of the kill
	fallen bool
}

// newGuillotine returns one for the account whose kubeconfig that is.
func newGuillotine(t *testing.T, kubeconfig string) *guillotine {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(config)) // who asks says so itself
	if err != nil {
		t.Fatal(err)
	}
	g := &guillotine{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1, // watches
		ModifyResponse: g.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r.WithContext(g.asked(r)))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections) // before that, or watches keep it
	through := clientcmdapi.NewConfig()
	through.CurrentContext = "guillotine"
	through.Contexts["guillotine"] = &clientcmdapi.Context{Cluster: "guillotine", AuthInfo: "guillotine"}
	through.Clusters["guillotine"] = &clientcmdapi.Cluster{Server: server.URL, InsecureSkipTLSVerify: true}
	through.AuthInfos["guillotine"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	if err := clientcmd.WriteToFile(*through, g.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return g
}

// aim has the process of that kill be killed at a write from now on; nil: at none.
func (g *guillotine) aim(at func(n int, write string) bool, after bool, kill func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.after, g.kill, g.writes, g.fallen = at, after, kill, nil, false
}

// seen returns the writes so far, and whether the process was killed at the last.
func (g *guillotine) seen() (writes []string, fallen bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writes, g.fallen
}

// isWrite reports whether a request changes something that a rollout is about: no
// question, and none of what a process does at any time.
func isWrite(r *http.Request) bool {
	if r.Method == http.MethodGet || isDryRun(r) {
		return false
	}
	for _, part := range []string{"accessreviews", "/leases", "/events"} {
		if strings.Contains(r.URL.Path, part) {
			return false
		}
	}
	return true
}

type lastOne struct{}

// asked notes a request before it goes on. That of a process that is dead goes nowhere.
func (g *guillotine) asked(r *http.Request) context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fallen {
		panic(http.ErrAbortHandler)
	}
	if !isWrite(r) {
		return r.Context()
	}
	g.writes = append(g.writes, r.Method+" "+r.URL.Path)
	if g.at == nil || !g.at(len(g.writes), g.writes[len(g.writes)-1]) {
		return r.Context()
	}
	g.fallen = true
	if !g.after {
		g.kill()
		panic(http.ErrAbortHandler)
	}
	return context.WithValue(context.WithoutCancel(r.Context()), lastOne{}, true)
}

// answered holds the answer to the last write back.
func (g *guillotine) answered(r *http.Response) error {
	if r.Request.Context().Value(lastOne{}) == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kill()
	return http.ErrAbortHandler
}
