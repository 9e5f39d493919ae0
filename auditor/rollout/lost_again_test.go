package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// nodeServer serves a DaemonSet, its Pods and their nodes. A Pod that is evicted is replaced
// at once, unless its node is not ready.
type nodeServer struct {
	mu        sync.Mutex
	daemonSet *appsv1.DaemonSet
	pods      []corev1.Pod
	away      []string // nodes
	evicted   []string // Pods
	lists     int      // of Pods
}

func (s *nodeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	var answer any = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}
	switch {
	case strings.HasSuffix(r.URL.Path, "/eviction"):
		name := strings.Split(r.URL.Path, "/")[6]
		s.evicted = append(s.evicted, name)
		for i := range s.pods {
			if s.pods[i].Name == name && !slices.Contains(s.away, s.pods[i].Spec.NodeName) {
				s.pods[i].Name, s.pods[i].UID = name+"-new", types.UID("uid-"+name+"-new")
			}
		}
	case strings.HasSuffix(r.URL.Path, "/pods"):
		s.lists++
		answer = corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: s.pods}
	case strings.HasSuffix(r.URL.Path, "/nodes"):
		nodes := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
		for _, name := range s.away {
			node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
			node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
			nodes.Items = append(nodes.Items, node)
		}
		answer = nodes
	case strings.Contains(r.URL.Path, "/daemonsets/"):
		answer = s.daemonSet
	default: // what admission is made of, too, is not for everyone to read
		w.WriteHeader(http.StatusForbidden)
		answer = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *nodeServer) cluster(t *testing.T) *cluster {
	t.Helper()
	c, err := connect(s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *nodeServer) config(t *testing.T) *rest.Config {
	t.Helper()
	if s.daemonSet != nil {
		s.daemonSet.Spec.Selector = &metav1.LabelSelector{MatchLabels: podLabels}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// The second eviction of a DaemonSet with a lost Pod does not wait for that, as the first
// did not.
func TestSecondEvictionLeavesTheLostPodAlone(t *testing.T) {
	s := &nodeServer{daemonSet: daemonSet(2, func(d *appsv1.DaemonSet) { d.Status.NumberAvailable = 1 }), away: []string{"lost"},
		pods: []corev1.Pod{podOn("a", "1", corev1.ConditionTrue), podOn("lost", "1", corev1.ConditionFalse)}}
	c := s.cluster(t)
	opts := Options{Strategy: Evict}.withDefaults()
	opts.Pace.Timeout = 3 * time.Second
	item := audited("DaemonSet", verdict.InSync)
	task := task{
		cluster: c, opts: opts, item: item, tell: func(Event) {}, injectors: newInjectors(c.objects.CoreV1().RESTClient(), &rest.Config{}),
		audit: func(context.Context, inventory.WorkloadRef, []byte) (*report.Item, error) { return &item, nil },
	}
	lost := lostPods{nodes: []string{"lost"}, only: true, live: 1, pods: map[string]bool{"uid-lost": true}}
	first := &eviction{cluster: c, pace: opts.Pace, lost: lost}
	b := begun{recreation: first, workload: object(t, s.daemonSet)}
	late := []report.PodRef{{Name: "on-a", UID: "uid-a"}, {Name: "on-lost", UID: "uid-lost"}}
	o, _ := task.evictOnceMore(t.Context(), b, outcome{late: late, decision: decision{result: report.NotConverging}}, "")
	if o.result != report.RolledOut || fmt.Sprint(s.evicted) != "[on-a]" {
		t.Errorf("%s: %s; evicted: %v", o.result, o.reason, s.evicted)
	}
}

// Each version of a DaemonSet is looked at, and there are as many as it has Pods: those are
// listed only once nothing but lost ones can be left.
func TestPodsAreListedAtTheEndOnly(t *testing.T) {
	for updated, lists := range map[int32]int{0: 0, 50: 0, 98: 0, 99: 1, 100: 1} {
		s := &nodeServer{away: []string{"lost"}, daemonSet: daemonSet(100, func(d *appsv1.DaemonSet) {
			d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable = updated, 99
		})}
		around := newSurroundings(s.cluster(t), time.Minute)
		around.enough(t.Context(), object(t, s.daemonSet))
		if s.lists != lists {
			t.Errorf("%d updated: %d lists of Pods", updated, s.lists)
		}
	}
}

// A new Pod may have brought its node down, unless that was lost before.
func TestANewPodIsNotLost(t *testing.T) {
	for name, test := range map[string]struct {
		generation string // of the Pod on the lost node
		lost       []string
		ends       bool
	}{
		"old, on a node that was ready": {"1", nil, true},
		"new, on a node that was ready": {"2", nil, false},
		"new, on a node that was lost":  {"2", []string{"lost"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &nodeServer{away: []string{"lost"}, pods: []corev1.Pod{podOn("a", "2", corev1.ConditionTrue), podOn("lost", test.generation, corev1.ConditionFalse)},
				daemonSet: daemonSet(2, func(d *appsv1.DaemonSet) {
					metav1.SetMetaDataAnnotation(&d.ObjectMeta, appsv1.DeprecatedTemplateGeneration, "2")
					d.Status.NumberAvailable = 1
				})}
			c, opts := s.cluster(t), Options{Strategy: Restart}.withDefaults()
			opts.Pace.Timeout = 2 * time.Second
			r := &restart{cluster: c, versions: &versions{}, opts: opts, enough: newSurroundings(c, time.Minute).enough, lost: lostPods{nodes: test.lost}}
			if err := r.finish(t.Context(), object(t, s.daemonSet), func(string) {}); (err == nil) != test.ends {
				t.Error(err)
			}
			ref := inventory.WorkloadRef{Kind: "DaemonSet", Namespace: "shop", Name: "web"}
			if settled, err := Settled(t.Context(), s.config(t), map[inventory.WorkloadRef][]string{ref: test.lost}); err != nil || settled[ref] != test.ends {
				t.Errorf("settled: %v, %v", settled, err)
			}
		})
	}
}

// What a reason says of lost nodes is added to what it says, and holds when it is said.
func TestReasonNamesWhatIsStillLost(t *testing.T) {
	s := &nodeServer{away: []string{"b"}}
	task := task{cluster: s.cluster(t)}
	const kept = "its Pods on b, which is not ready, keep what they have until it is back"
	for name, test := range map[string]struct {
		nodes        []string
		reason, want string
	}{
		"nothing was lost":      {nil, "x", "x"},
		"it still is":           {[]string{"b"}, "", kept},
		"beside another reason": {[]string{"b"}, "x", "x; " + kept},
		"one of two is back":    {[]string{"a", "b"}, "", kept},
		"it is back":            {[]string{"a"}, "x", "x"},
	} {
		if got := task.kept(t.Context(), lostPods{nodes: test.nodes}, test.reason); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
