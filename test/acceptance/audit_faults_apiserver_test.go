//go:build chaos

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

// TestFaultsOfTheAPIServer has a cluster of its own, where nothing else changes and
// the API server may be killed.
func TestFaultsOfTheAPIServer(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	t.Run("watches expire", func(t *testing.T) { serveThroughExpiredWatches(t, c) })
	t.Run("it restarts", func(t *testing.T) { auditWhileTheAPIServerRestarts(t, c) })
}

// An API server that is killed in the middle of an audit is waited for, until it
// has read the RBAC rules again: at first it forbids everything.
func auditWhileTheAPIServerRestarts(t *testing.T, c *cluster.Cluster) {
	namespace := namespaceWith(t, c, nil)
	config := account(t, c, namespace, auditRules...)
	barePods(t, c, namespace, numbered("web", 300)...)
	want, err := auditBy(t, config, namespace)
	if err != nil {
		t.Fatal(err)
	}
	if n := want.Summary.Pods["NotInjected"]; n != 300 {
		t.Fatalf("without a fault: %v\n%s", want.Summary.Pods, details(want))
	}

	t.Run("during dry runs", func(t *testing.T) {
		var lost atomic.Int64
		back := make(chan error, 1)
		hundredth := &every{nth: 100, times: 1, of: isDryRun, fault: func(r *http.Request, send roundTrip) (*http.Response, error) {
			go func() { back <- c.RestartAPIServer(context.Background(), 0) }()
			return send(r)
		}}
		got, err := auditBy(t, through(through(config, func(r *http.Request, send roundTrip) (*http.Response, error) {
			response, err := send(r)
			if err != nil && isDryRun(r) {
				lost.Add(1)
			}
			return response, err
		}), hundredth.through), namespace)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-back; err != nil {
			t.Fatal(err)
		}
		t.Logf("%d dry runs were lost", lost.Load())
		if lost.Load() == 0 {
			t.Error("no dry run was lost")
		}
		checkSame(t, want, got)
	})
	t.Run("during a list, whose past is forgotten", func(t *testing.T) {
		var gone atomic.Int64
		second := &every{nth: 1, times: 1, of: laterPage, fault: func(r *http.Request, send roundTrip) (*http.Response, error) {
			err := comeAndGo(r.Context(), c, namespace)
			if err := errors.Join(err, c.Compact(r.Context()), c.RestartAPIServer(r.Context(), 0)); err != nil {
				return nil, err
			}
			return send(r)
		}}
		got, err := auditBy(t, through(through(through(config, func(r *http.Request, send roundTrip) (*http.Response, error) {
			response, err := send(r)
			if err == nil && response.StatusCode == http.StatusGone {
				gone.Add(1)
			}
			return response, err
		}), second.through), smallPages), namespace)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d answers were 410 Gone", gone.Load())
		if gone.Load() == 0 {
			t.Error("the API server still knew the past of the list")
		}
		checkSame(t, without(want, comers), without(got, comers))
	})
}

// The API server rejects what exceeds a user's share: the audit takes longer.
func TestAuditThroughPriorityAndFairness(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	namespace := namespaceWith(t, c, nil)
	config := account(t, c, namespace, auditRules...)
	barePods(t, c, namespace, numbered("bare", 200)...)
	audit := func(config *rest.Config) *report.Report {
		t.Helper()
		ctx := logr.NewContext(t.Context(), logr.Discard())
		r, err := audit.Run(ctx, config, audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 32})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := audit(config)
	clusterWide(t, c, fmt.Sprintf(`
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: tight-%[1]s}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 1, borrowingLimitPercent: 0, lendablePercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: tight-%[1]s}
spec:
  matchingPrecedence: 2
  priorityLevelConfiguration: {name: tight-%[1]s}
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: auditor, namespace: %[1]s}}]
    resourceRules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true}]
`, namespace))
	inForce(t, c, config, "tight-"+namespace)
	asked, rejected, count := counted(isDryRun, http.StatusTooManyRequests)
	got := audit(through(config, count))
	t.Logf("%d dry runs, %d of them rejected", asked.Load(), rejected.Load())
	if rejected.Load() == 0 {
		t.Error("nothing was rejected")
	}
	checkSame(t, want, got)
}

// inForce waits until the API server judges requests by the FlowSchema.
func inForce(t *testing.T, c *cluster.Cluster, config *rest.Config, flowSchema string) {
	t.Helper()
	schema, err := c.Client().FlowcontrolV1().FlowSchemas().Get(t.Context(), flowSchema, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var last atomic.Value
	client, err := kubernetes.NewForConfig(through(config, func(r *http.Request, send roundTrip) (*http.Response, error) {
		response, err := send(r)
		if err == nil {
			last.Store(response.Header.Get("X-Kubernetes-PF-FlowSchema-UID"))
		}
		return response, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	err = cluster.Poll(t.Context(), "FlowSchema "+flowSchema, func(ctx context.Context) error {
		if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
			return err
		}
		if by := last.Load(); by != string(schema.UID) {
			return fmt.Errorf("requests are judged by FlowSchema %v", by)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
