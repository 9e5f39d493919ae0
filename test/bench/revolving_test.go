package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	auditor "github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// few are Pods and ReplicaSets as an API server lists them, two Pods each.
func few(sets int) *replay {
	r := &replay{byOwner: map[string]recorded{}}
	for i := range sets {
		uid, name := fmt.Sprintf("0000-set-%d", i), fmt.Sprintf("svc-%d", i)
		const namespace = "scale-0"
		r.sets = append(r.sets, recorded{fmt.Appendf(nil, `{"metadata":{"name":%q,"namespace":%q,"uid":%q},"spec":{"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"containers":[{"name":"app","image":"app:1"}]}}}}`,
			name, namespace, uid), namespace, uid, "0000-none"})
		for j := range 2 {
			pod := recorded{fmt.Appendf(nil, `{"metadata":{"name":"%[1]s-%[4]d","namespace":%[2]q,"uid":"0000-pod-%[3]s-%[4]d","labels":{"app":%[1]q},`+
				`"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":%[1]q,"uid":%[3]q,"controller":true}]},`+
				`"spec":{"containers":[{"name":"app","image":"app:1"},{"name":"proxy","image":"proxy:1"}]},"status":{"phase":"Running"}}`, name, namespace, uid, j), namespace, fmt.Sprintf("0000-pod-%s-%d", uid, j), uid}
			r.pods, r.byOwner[uid[varied:]] = append(r.pods, pod), pod
		}
	}
	return r
}

// TestRevolving is daemon-churn in short, within one process: waves come and go, each is
// judged, and nothing stays of them.
func TestRevolving(t *testing.T) {
	const sets, stay, waves = 40, 2, 60
	r, err := newRevolving(few(sets), &rest.Config{}, stay)
	if err != nil {
		t.Fatal(err)
	}
	r.real = http.NotFoundHandler()
	server, config := servedBy(t, r)
	defer server()
	a, err := auditor.New(config, audit.Options{Concurrency: 4, DryRunAs: injection.Self, Log: logr.Discard()}, auditor.Sweep{Interval: 1 << 40, Full: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { a.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	judged := func(copies int) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return cluster.Poll(ctx, "all Pods to be judged", func(ctx context.Context) error {
			round, err := a.Round(ctx, auditor.Changes)
			if err == nil && round.Report.Summary.Pods[verdict.InSync] != 2*sets*copies {
				err = fmt.Errorf("found %v", round.Report.Summary.Pods)
			}
			return err
		})
	}
	var early uint64
	for wave := range waves {
		n := r.comes()
		if err := judged(stay + 1); err != nil {
			t.Fatal(err)
		}
		r.goes(n)
		if err := judged(stay); err != nil {
			t.Fatal(err)
		}
		if wave == waves/4 {
			early = heap()
		}
	}
	if late := heap(); late > early+512<<10 {
		t.Errorf("after %d Pods %d kB more than after a quarter of them", waves*2*sets, (late-early)>>10)
	}
	runtime.KeepAlive(a)
}

// servedBy starts the server, and returns how to end it and to reach it.
func servedBy(t *testing.T, r *revolving) (end func(), config *rest.Config) {
	t.Helper()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	empty := clientcmdapi.NewConfig()
	empty.Clusters["c"], empty.Contexts["c"], empty.CurrentContext = clientcmdapi.NewCluster(), &clientcmdapi.Context{Cluster: "c"}, "c"
	if err := clientcmd.WriteToFile(*empty, from); err != nil {
		t.Fatal(err)
	}
	server, err := r.serve(from, to)
	if err != nil {
		t.Fatal(err)
	}
	if config, err = clientcmd.BuildConfigFromFlags("", to); err != nil {
		t.Fatal(err)
	}
	return func() { server.CloseClientConnections(); server.Close() }, config
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
