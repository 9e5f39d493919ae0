//go:build chaos

package acceptance

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// counted counts requests, and those of them that were answered with a status.
func counted(of func(*http.Request) bool, status int) (requests, answers *atomic.Int64, count fault) {
	requests, answers = new(atomic.Int64), new(atomic.Int64)
	return requests, answers, func(r *http.Request, send roundTrip) (*http.Response, error) {
		if of(r) {
			requests.Add(1)
		}
		response, err := send(r)
		if err == nil && response.StatusCode == status {
			answers.Add(1)
		}
		return response, err
	}
}

// An injector that answers too late is one that is down. Where it fails closed, its
// timeout is not waited for again and again; where it fails open, its workloads
// are Orphaned, as a rollout would take their sidecars away.
func TestAuditOfASlowInjector(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	config := auditorConfig(t, c)
	for _, test := range []struct {
		policy  admissionregistrationv1.FailurePolicyType
		settled string // what is seen of it
		state   verdict.State
		reason  string
		most    int64 // dry runs
	}{
		// Two failures before the one that tells, and what four workers are at by then.
		{admissionregistrationv1.Fail, "context deadline exceeded", verdict.Unknown, "context deadline exceeded", 6},
		// Something is only taken away, so that each is asked about again: four times, and five
		// where there is no template.
		{admissionregistrationv1.Ignore, "", verdict.Orphaned, "", 2*5 + 10*6},
	} {
		t.Run(string(test.policy), func(t *testing.T) {
			t.Parallel()
			namespace := namespaceWith(t, c, nil)
			running, err := injector.Start(t.Context(), c, injector.Options{Name: namespace, Namespaces: namespace})
			if err != nil {
				t.Fatal(err)
			}
			held := make(chan struct{})
			t.Cleanup(func() {
				close(held)
				if err := running.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			running.Inject(func(injector.Request) []injector.Operation {
				return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1"})}
			})
			label(t, c, namespace, fmt.Sprintf(`{%q:%q}`, injector.NamespaceLabel, namespace), isInjected)
			deployWeb(t, c, namespace, 1, "a", "b")
			barePods(t, c, namespace, numbered("bare", 10)...)

			running.Inject(func(injector.Request) []injector.Operation { <-held; return nil })
			patch := fmt.Sprintf(`[{"op":"add","path":"/webhooks/0/timeoutSeconds","value":1},{"op":"add","path":"/webhooks/0/failurePolicy","value":%q}]`, test.policy)
			if _, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
				Patch(t.Context(), "test-injector-"+namespace, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			if test.settled != "" {
				refuses(t, c, namespace, test.settled)
			} else {
				admits(t, c, namespace, isNotInjected)
			}

			asked, _, count := counted(isDryRun, 0)
			r, err := auditBy(t, through(config, count), namespace)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d dry runs for %d workloads: %v", asked.Load(), len(r.Items), r.Summary.Workloads)
			if n := asked.Load(); n > test.most {
				t.Errorf("%d dry runs, want %d at most", n, test.most)
			}
			if n := r.Summary.Workloads; n[test.state] != 12 || len(n) != 1 {
				t.Errorf("workloads %v, want 12 %s\n%s", n, test.state, details(r))
			}
			var adviser rollout.Adviser
			if err := adviser.Advise(t.Context(), config, r, rollout.Options{Select: rollout.AnyKind()}); err != nil {
				t.Fatal(err)
			}
			checkSlow(t, r, test.reason, namespace+".injector.test")
		})
	}
}

// checkSlow checks that each reason names the webhook, where there is one to give,
// and that nothing would be rolled out.
func checkSlow(t *testing.T, r *report.Report, reason, webhook string) {
	t.Helper()
	for _, item := range r.Items {
		if item.Rollout.Eligible {
			t.Errorf("%s/%s would be rolled out: %+v", item.Kind, item.Name, item.Rollout)
		}
		if item.Kind == "Deployment" && item.State == verdict.Orphaned && !strings.Contains(item.Rollout.Reason, "--allow-orphaned") {
			t.Errorf("%s/%s is not rolled out because %s, want --allow-orphaned", item.Kind, item.Name, item.Rollout.Reason)
		}
		for _, revision := range item.Revisions {
			if reason != "" && (!strings.Contains(revision.Reason, reason) || !strings.Contains(revision.Reason, `webhook "`+webhook+`"`)) {
				t.Errorf("%s/%s: reason %q, want %q of webhook %s", item.Kind, item.Name, revision.Reason, reason, webhook)
			}
		}
	}
}

// denying registers a webhook that denies all Pods of a namespace.
func denying(t *testing.T, c *cluster.Cluster, namespace, message string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: message, Code: http.StatusForbidden}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	none := admissionregistrationv1.SideEffectClassNone
	err := c.RegisterWebhook(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "denies-" + namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "denies.injector.test", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "denies"}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, server.Listener.Addr().(*net.TCPAddr).Port, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is done by now.
		if err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), "denies-"+namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	refuses(t, c, namespace, message)
}

// A webhook that denies everything is an answer, and asked once about each.
func TestAuditOfAThousandRefusals(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	config := auditorConfig(t, c)
	namespace := namespaceWith(t, c, nil)
	pods := 100
	if *full {
		pods = 1000
	}
	barePods(t, c, namespace, numbered("bare", pods)...)
	message := "not on my watch: " + strings.Repeat("the same for everybody, ", 20) + "sorry"
	denying(t, c, namespace, message)
	asked, refused, count := counted(isDryRun, http.StatusForbidden)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	r, err := auditBy(t, through(config, count), namespace)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin).Round(time.Millisecond)
	runtime.ReadMemStats(&after)
	t.Logf("%d dry runs, %d refused, in %s; the heap is %d KiB larger, and had %d KiB in all",
		asked.Load(), refused.Load(), took, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10, (after.TotalAlloc-before.TotalAlloc)>>10)
	if asked.Load() != int64(pods) || refused.Load() != int64(pods) {
		t.Errorf("%d dry runs of which %d were refused, want %d each", asked.Load(), refused.Load(), pods)
	}
	if n := r.Summary.Pods; n[verdict.Blocked] != pods || len(n) != 1 {
		t.Errorf("Pods %v, want %d Blocked", n, pods)
	}
	for _, item := range r.Items {
		want := `admission webhook "denies.injector.test" denied the request: ` + message
		if revision := item.Revisions[0]; !strings.HasPrefix(revision.Reason, want) || !revision.Approximate {
			t.Fatalf("%s: reason %q, approximate: %t, want %q", item.Name, revision.Reason, revision.Approximate, want)
		}
	}
}
