package service

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// The log says every half minute how far the first audit is, and nothing of later ones.
func TestProgressOfTheFirstAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		var shares []float64
		p := &progress{
			log:    funcr.New(func(_, text string) { said = append(said, text) }, funcr.Options{}),
			metric: func(share float64) { shares = append(shares, share) },
		}
		p.begin()
		for done := range 5 {
			p.judged(done+1, 4+done/4) // one more comes to be asked about at the end
			time.Sleep(16 * time.Second)
		}
		p.end()
		p.judged(1, 2)
		p.end()
		if want := []string{`"level"=0 "msg"="Auditing" "judged"=3 "of"=4`, `"level"=0 "msg"="Auditing" "judged"=5 "of"=5`}; !slices.Equal(said, want) {
			t.Errorf("the log says %q, want %q", said, want)
		}
		if want := []float64{0, 0.25, 0.5, 0.75, 0.99, 0.99, 1}; !slices.Equal(shares, want) {
			t.Errorf("the metric was %v, want %v", shares, want)
		}
	})
}

func TestPageBeforeTheFirstReport(t *testing.T) {
	ours := "sidecar-drift-auditor-7d9c5f8b4-x2x7k"
	holder := ours + "_0c3f5a7e"
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tools", Name: "sidecar-drift-auditor"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder},
	}
	leases := fake.NewClientset(lease).CoordinationV1()
	options := Options{Namespace: "tools", Name: "sidecar-drift-auditor"}
	for name, test := range map[string]struct {
		judged int
		self   string
		want   string
	}{
		"another one audits": {0, "sidecar-drift-auditor-7d9c5f8b4-other", "kubectl -n tools port-forward pod/" + ours + " 8082"},
		"the first audit":    {120, ours, `<progress id="judged" value="120" max="518">`},
		"nothing is known":   {0, ours, "No audit has ended here yet"},
	} {
		t.Run(name, func(t *testing.T) {
			first := &progress{log: logr.Discard(), metric: func(float64) {}}
			if test.judged > 0 {
				first.judged(test.judged, 518)
			}
			p := &page{progress: first, leader: leaderOf(leases, options, test.self)}
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != refresh || !strings.Contains(answer.Body.String(), test.want) {
				t.Errorf("%d, %v:\n%s", answer.Code, answer.Header(), answer.Body)
			}
		})
	}
	options.Name = "gone"
	if namespace, pod := leaderOf(leases, options, ours)(t.Context()); namespace+pod != "" {
		t.Errorf("without a Lease: %s/%s", namespace, pod)
	}
}
