package service

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var someday = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func drifting(kind, namespace, name string) report.Item {
	return report.Item{Namespace: namespace, Kind: kind, Name: name, State: verdict.Drifted}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// remembered saves what a memory knows, and returns the next leader's and what the
// ConfigMap has.
func remembered(t *testing.T, fill func(*memory)) (*memory, *corev1.ConfigMap) {
	t.Helper()
	objects := fake.NewClientset().CoreV1().ConfigMaps("sidecar-drift")
	m := newMemory(objects, "memory")
	fill(m)
	if err := m.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	object, err := objects.Get(t.Context(), "memory", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := newMemory(objects, "memory")
	if err := next.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return next, object
}

// The next leader knows everything; a workload's name cannot be mistaken for
// another's, whatever stands in its kind.
func TestTheNextLeaderKnows(t *testing.T) {
	forged, web := drifting("Foo payments/x", "shop", "a/b"), drifting("Deployment", "shop", "web")
	next, _ := remembered(t, func(m *memory) {
		m.update(reportOf(forged, web), someday)
		m.attempts.ended(refOf(web), failure, someday)
		m.attempts.ended(refOf(forged), refusal, someday)
		m.window = spent{Window: "w", Workloads: 3, Causes: crashed("shop")}
	})
	if diff := cmp.Diff(ages{refOf(forged): someday, refOf(web): someday}, next.since); diff != "" {
		t.Errorf("ages (-want +got):\n%s", diff)
	}
	want := map[inventory.WorkloadRef]attempt{
		refOf(web):    {Failures: 1, Next: someday.Add(time.Hour)},
		refOf(forged): {Refusals: 1, Next: someday.Add(30 * time.Second)},
	}
	if diff := cmp.Diff(want, next.attempts.of); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]time.Time{"shop": someday}, next.attempts.troubled); diff != "" {
		t.Errorf("troubled (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(spent{Window: "w", Workloads: 3, Causes: crashed("shop")}, next.spentIn("w")); diff != "" {
		t.Errorf("window (-want +got):\n%s", diff)
	}
	if got := next.oldest(); len(got) != 1 || got["shop"] != someday {
		t.Errorf("oldest by namespace: %v", got)
	}
}

// A ConfigMap has room for what strangers come up with: names that no object can
// have are not kept, and of a namespace with very many nobody else loses an age.
func TestMemoryIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = 'a' + byte(random.IntN(26))
		}
		return string(b)
	}
	huge := strings.Repeat("x", 690_000)
	var items []report.Item
	for range 3 {
		items = append(items, drifting("Deployment", "aaa-tenant", huge+letters(3)), drifting(huge, "aaa-tenant", letters(9)), drifting("Foo", huge, letters(9)))
	}
	for range 3_000 {
		items = append(items, drifting("Deployment", "aaa-tenant", letters(253)), drifting(letters(63), "aaa-tenant", strings.Repeat("\x01", 253)))
	}
	next, object := remembered(t, func(m *memory) {
		m.update(reportOf(items...), someday.Add(-time.Hour)) // all are older than what others have
		for i := range 300 {
			items = append(items, drifting("Deployment", fmt.Sprintf("team-%d", i), "web"))
		}
		m.update(reportOf(items...), someday)
		for _, item := range items {
			m.attempts.ended(refOf(item), failure, someday)
		}
	})
	size := 0
	for _, value := range object.BinaryData {
		size += len(value)
	}
	if size > 900<<10 {
		t.Errorf("%d bytes, and a ConfigMap may have 1 MiB", size)
	}
	for i := range 300 {
		ref := inventory.WorkloadRef{Kind: "Deployment", Namespace: fmt.Sprintf("team-%d", i), Name: "web"}
		if _, ok := next.since[ref]; !ok {
			t.Errorf("the age of %s is lost", ref)
		}
		if next.attempts.of[ref].Failures != 1 {
			t.Errorf("the failure of %s is lost", ref)
		}
	}
	if len(next.since) < 1000 || len(next.attempts.of) < 400 {
		t.Errorf("%d ages, %d attempts are kept", len(next.since), len(next.attempts.of))
	}
	for ref := range next.since {
		if !kept(ref) {
			t.Errorf("%.100s is kept", ref)
		}
	}
}

// Ten thousand workloads with names as people give them are all kept.
func TestMemoryOfALargeCluster(t *testing.T) {
	next, _ := remembered(t, func(m *memory) {
		for i := range 8000 {
			m.since[inventory.WorkloadRef{Kind: "Deployment", Namespace: fmt.Sprint("team-", i%97), Name: fmt.Sprint("workload-", i)}] = someday
		}
	})
	if len(next.since) != 8000 {
		t.Errorf("%d kept", len(next.since))
	}
}

// What a ConfigMap of somebody's making says is believed as far as it can be true;
// what cannot be read costs nothing else.
func TestMemoryOfSomebodysMaking(t *testing.T) {
	ref := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
	for name, test := range map[string]struct {
		data  map[string][]byte
		since ages
		fails bool
		check func(*testing.T, *memory)
	}{
		"nothing": {},
		"of an earlier release": {
			data:  map[string][]byte{formerAgesKey: zipped(t, `{"Deployment shop/web":1700000000,"Foo payments/x shop/web":1,"Foo shop/a/b":1,"":1}`)},
			since: ages{ref: time.Unix(1700000000, 0).UTC()}},
		"of both": {
			data: map[string][]byte{
				formerAgesKey: zipped(t, `{"Deployment shop/web":1}`),
				agesKey:       zipped(t, `[{"k":"Deployment","ns":"shop","n":"web","t":1700000000}]`),
			},
			since: ages{ref: time.Unix(1700000000, 0).UTC()}},
		"not gzip, beside a window": {
			data:  map[string][]byte{agesKey: []byte("not gzip"), windowKey: []byte(`{"window":"w","workloads":2}`)},
			fails: true,
			check: func(t *testing.T, m *memory) {
				if got := m.spentIn("w").Workloads; got != 2 {
					t.Errorf("spent %d, want 2", got)
				}
			}},
		"a bomb": {data: map[string][]byte{agesKey: zipped(t, "["+strings.Repeat(" ", 64<<20)+"]")}, fails: true},
		"from the future": {
			data: map[string][]byte{
				agesKey:     zipped(t, fmt.Sprintf(`[{"k":"Deployment","ns":"shop","n":"web","t":%d}]`, math.MaxInt64)),
				attemptsKey: zipped(t, fmt.Sprintf(`[{"k":"Deployment","ns":"shop","n":"web","f":%d,"r":-5,"t":%d},{"ns":"shop","t":%d}]`, math.MaxInt32, math.MaxInt64, math.MaxInt64)),
			},
			check: func(t *testing.T, m *memory) {
				if !m.since[ref].Before(time.Now().Add(time.Second)) {
					t.Errorf("since %v", m.since[ref])
				}
				if m.due(ref, 0, time.Now()) || !m.due(ref, 0, time.Now().Add(8*24*time.Hour)) {
					t.Errorf("left alone for %v", m.attempts.of[ref])
				}
				if got := m.attempts.of[ref]; got.Failures != mostDoublings || got.Refusals != 0 || len(m.attempts.troubled) > 0 {
					t.Errorf("attempts %+v", m.attempts)
				}
			}},
		"numbers below nothing": {
			data: map[string][]byte{windowKey: []byte(`{"window":"w","workloads":-9,"failures":{"shop":-9}}`)},
			check: func(t *testing.T, m *memory) {
				if got := m.spentIn("w"); got.Workloads != 0 || got.over(1) {
					t.Errorf("spent %+v", got)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := fake.NewClientset(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "sidecar-drift", Name: "memory"}, BinaryData: test.data,
			}).CoreV1().ConfigMaps("sidecar-drift")
			m := newMemory(objects, "memory")
			if err := m.load(t.Context()); (err != nil) != test.fails {
				t.Errorf("error: %v", err)
			}
			if test.since != nil {
				if diff := cmp.Diff(test.since, m.since); diff != "" {
					t.Errorf("ages (-want +got):\n%s", diff)
				}
			}
			if test.check != nil {
				test.check(t, m)
			}
			if err := m.save(t.Context()); err != nil {
				t.Errorf("cannot be kept: %v", err)
			}
		})
	}
}

// Whatever a ConfigMap holds, nothing but an error comes of it.
func FuzzMemory(f *testing.F) {
	f.Add([]byte(`[{"k":"Deployment","ns":"shop","n":"web","t":1}]`), []byte(`{"window":"w"}`))
	f.Add([]byte(`{"Deployment shop/web":1}`), []byte(`{"window":"w","failures":{"":-1}}`))
	f.Fuzz(func(t *testing.T, list, window []byte) {
		m := newMemory(fake.NewClientset(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "sidecar-drift", Name: "memory"},
			BinaryData: map[string][]byte{
				agesKey: zipped(t, string(list)), attemptsKey: zipped(t, string(list)), formerAgesKey: zipped(t, string(list)), windowKey: window,
			},
		}).CoreV1().ConfigMaps("sidecar-drift"), "memory")
		_ = m.load(t.Context())
		m.spentIn(m.window.Window).over(1)
		for ref := range m.since {
			m.due(ref, time.Hour, someday)
			m.rank(someday)(ref)
		}
		if err := m.save(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestByTurns(t *testing.T) {
	got := byTurns(strings.Fields("a1 a2 a3 b1 c1 c2"), func(s string) byte { return s[0] })
	if diff := cmp.Diff("a1 b1 c1 a2 c2 a3", strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
}

// Later and later, and no later than a week.
func TestPauses(t *testing.T) {
	web := refOf(drifting("Deployment", "shop", "web"))
	for o, want := range map[outcome][]time.Duration{
		failure: {time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 32 * time.Hour, 64 * time.Hour, 128 * time.Hour, 168 * time.Hour, 168 * time.Hour},
		refusal: {30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, 64 * time.Minute, 128 * time.Minute, 256 * time.Minute, 6 * time.Hour, 6 * time.Hour},
	} {
		a := newAttempts()
		for i, pause := range want {
			a.ended(web, o, someday)
			if got := a.of[web].Next.Sub(someday); got != pause {
				t.Errorf("the %dth time: %s, want %s", i+1, got, pause)
			}
		}
		for range 100 {
			a.ended(web, o, someday)
		}
		if a.due(web, someday) || !a.due(web, someday.Add(longestFailurePause)) {
			t.Errorf("after a hundred times: %+v", a.of[web])
		}
		a.ended(web, done, someday)
		if !a.due(web, someday) {
			t.Error("what was rolled out is left alone")
		}
	}
}

// What cannot be kept is not begun with, and costs nothing.
func TestABudgetThatCannotBeKept(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("*", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("etcd is away"))
	})
	m := newMemory(client.CoreV1().ConfigMaps("sidecar-drift"), "sidecar-drift-auditor")
	web := refOf(workload("web", "Drifted"))
	if _, err := m.begin(t.Context(), spent{Window: "tonight", Workloads: 1}, []inventory.WorkloadRef{web}, someday); err == nil {
		t.Fatal("it was kept")
	}
	if got := m.spentIn("tonight").Workloads; got != 0 || len(m.unended()) > 0 {
		t.Errorf("spent %d, and %v are to be found out about", got, m.unended())
	}
}
