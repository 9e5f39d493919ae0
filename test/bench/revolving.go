package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// revolving stands before a real API server, and has Pods, their ReplicaSets and their
// namespaces come and go that are none of its: copies of those that it listed.
type revolving struct {
	*replay
	real http.Handler

	mu      sync.Mutex
	alive   []int // copies, in the order in which they came
	last    int
	events  []event
	changed chan struct{} // closed at the next event
}

// event is that all Pods of a copy came or went.
type event struct {
	kind string
	copy int
}

func newRevolving(recorded *replay, api *rest.Config, stay int) (*revolving, error) {
	target, err := url.Parse(api.Host)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(api)) // requests bring their own token
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, FlushInterval: -1,
	}
	r := &revolving{replay: recorded, real: proxy, changed: make(chan struct{})}
	for range stay {
		r.last++
		r.alive = append(r.alive, r.last)
	}
	return r, nil
}

// serve starts the server and writes a kubeconfig for it with the token of another one.
func (r *revolving) serve(from, kubeconfig string) (*httptest.Server, error) {
	config, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(r)
	server.EnableHTTP2 = true
	server.StartTLS()
	for _, c := range config.Clusters {
		c.Server, c.CertificateAuthority = server.URL, ""
		c.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	}
	return server, clientcmd.WriteToFile(*config, kubeconfig)
}

// comes has one more copy of all Pods come, and returns which.
func (r *revolving) comes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.alive = append(r.alive, r.last)
	r.tell(event{"ADDED", r.last})
	return r.last
}

// goes has a copy go.
func (r *revolving) goes(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = slices.DeleteFunc(r.alive, func(other int) bool { return other == n })
	r.tell(event{"DELETED", n})
}

func (r *revolving) tell(e event) {
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// since returns what has happened after so many events, and what is closed at the next.
func (r *revolving) since(n int) ([]event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[n:], r.changed
}

// Of a copy's namespace, and of what is in it.
var (
	ofCopy    = regexp.MustCompile(`^/api(?:s/apps)?/v1/namespaces/(scale-\d+)-(\d+)(?:/(pods|replicasets)(?:/([^/]+))?)?$`)
	namespace = []byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"%[1]s","labels":{"kubernetes.io/metadata.name":"%[1]s","istio-injection":"enabled"}},"status":{"phase":"Active"}}`)
)

// ServeHTTP answers as an API server does.
func (r *revolving) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	of := ofCopy.FindStringSubmatch(request.URL.Path)
	query := request.URL.Query()
	switch path := request.URL.Path; {
	case path == "/api/v1/pods" && query.Get("watch") == "true":
		r.watch(w, request)
	case path == "/apis/apps/v1/replicasets" && !query.Has("watch"):
		r.list(w)
	case path == "/apis/apps/v1/deployments" && !query.Has("watch"): // the ReplicaSets are workloads of their own
		http.NotFound(w, request)
	case of == nil:
		r.real.ServeHTTP(w, request)
	case request.Method == http.MethodPost:
		r.create(w, request)
	case request.Method == http.MethodGet && of[3] == "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, string(namespace), of[1]+"-"+of[2])
	case request.Method == http.MethodGet && of[3] == "replicasets" && of[4] != "":
		r.get(w, request, of)
	default:
		http.NotFound(w, request)
	}
}

// relabelled is a copy of an object with a label of its own, an injector's by its domain:
// what belongs to one ReplicaSet has the same.
func relabelled(o recorded, owner string, n int) []byte {
	label := fmt.Appendf(nil, `"labels":{"mesh.example.com/build":"%0*d%s",`, varied, n, owner[varied:])
	return bytes.ReplaceAll(o.copy(n), []byte(`"labels":{`), label)
}

func (r *revolving) get(w http.ResponseWriter, request *http.Request, of []string) {
	n, err := strconv.Atoi(of[2])
	for _, set := range r.sets {
		if err == nil && set.namespace == of[1] && bytes.Contains(set.json, []byte(`"name":"`+of[4]+`"`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(relabelled(set, set.uid, n)) // the client sees that it is cut off
			return
		}
	}
	http.NotFound(w, request)
}

// create answers a dry run.
func (r *revolving) create(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the round fails, too
	}
	asked, err := appendItems(nil, fmt.Appendf(nil, `{"items":[%s]}`, body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	owner := asked[0].owner
	n, err := strconv.Atoi(owner[:varied])
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(relabelled(r.byOwner[owner[varied:]], owner, n))
}

func (r *revolving) list(w http.ResponseWriter) {
	r.mu.Lock()
	alive := slices.Clone(r.alive)
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"metadata":{"resourceVersion":"1"},"items":[`)
	for i, n := range alive {
		for j, set := range r.sets {
			if i+j > 0 {
				fmt.Fprint(w, ",")
			}
			_, _ = w.Write(relabelled(set, set.uid, n))
		}
	}
	fmt.Fprint(w, "]}")
}

// watch streams the Pods that there are, and what becomes of them until the client has enough.
// One that would go on where an earlier one ended begins anew.
func (r *revolving) watch(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if request.URL.Query().Get("sendInitialEvents") != "true" {
		w.WriteHeader(http.StatusGone)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`)
		return
	}
	r.mu.Lock()
	alive, seen := slices.Clone(r.alive), len(r.events)
	r.mu.Unlock()
	for _, n := range alive {
		r.send(w, event{"ADDED", n})
	}
	fmt.Fprint(w, `{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
	for request.Context().Err() == nil {
		events, changed := r.since(seen)
		for _, e := range events {
			r.send(w, e)
		}
		seen += len(events)
		_ = http.NewResponseController(w).Flush() // the client may have gone
		select {
		case <-changed:
		case <-request.Context().Done():
		}
	}
}

func (r *revolving) send(w io.Writer, e event) {
	for _, pod := range r.pods {
		fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", e.kind, json.RawMessage(relabelled(pod, pod.owner, e.copy)))
	}
}
