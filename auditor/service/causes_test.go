package service

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// seenInputs are inputs that a test makes up.
type seenInputs struct {
	objects []cause.Object
	err     error
	looks   int
	born    map[string]time.Time
	// birthsErr is that of asking when Pods were created.
	birthsErr error
}

func (s *seenInputs) Look(context.Context) (cause.Seen, error) {
	s.looks++
	return cause.Seen{Began: time.Now(), At: time.Now(), Objects: s.objects, Lists: []string{"configmaps"}}, s.err
}

func (s *seenInputs) Makers(cause.Change, string, []string) (makers, beside []string) {
	return nil, nil
}

func (s *seenInputs) Births(context.Context, []string) (map[string]time.Time, error) {
	return s.born, s.birthsErr
}

// written is a ConfigMap that a manager wrote just now.
func written(manager string) cause.Object {
	at := time.Now().Truncate(time.Second)
	return cause.Object{
		Kind: "ConfigMap", Namespace: "istio-system", Name: "istio", UID: "u", Version: at.String(), Link: cause.Reads, List: "configmaps",
		Entries: []cause.Entry{{Manager: manager, Time: at, Fields: []string{"data.mesh"}}},
	}
}

// round takes down what an audit found.
func observe(h *history, ids ...string) []report.Question {
	a := journal.Audit{At: time.Now(), Asked: true, Workloads: map[inventory.WorkloadRef]journal.Workload{}}
	var questions []report.Question
	for _, id := range ids {
		ref := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
		a.Workloads[ref] = journal.Workload{Standing: journal.Drifts}
		a.Changes = append(a.Changes, journal.Change{ID: id, PlaceIDs: []string{id}, Pods: 1, Workloads: []inventory.WorkloadRef{ref}})
		questions = append(questions, report.Question{ID: id, Change: cause.Change{Kind: "image", Namespaces: []string{"shop"}}, Pods: []string{"pod"}})
	}
	h.audited(a)
	return questions
}

// A change is explained once, and what is said of it is kept in the journal.
func TestAChangeIsExplainedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(nil, DefaultName)
		in, told := &seenInputs{}, 0
		c := newCauses(in, h, func() { told++ }, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()
		round := func(ids ...string) {
			c.audited(observe(h, ids...))
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		round()
		round()
		in.objects = []cause.Object{written("helm")}
		time.Sleep(2 * time.Second)
		round("a")
		in.objects = append(in.objects, written("kubectl"))
		in.objects[1].Name, in.objects[1].UID = "istio-1-29", "v"
		round("a")
		cancel()
		<-done
		whose := h.whose()
		if len(whose) != 1 || whose["a"].Short() != "helm" || told != 1 {
			t.Errorf("told %d times: %+v", told, whose)
		}
		if in.looks != 4 {
			t.Errorf("%d looks, want one after each round, also after those that found nothing", in.looks)
		}
		if len(h.unexplained()) != 0 {
			t.Error("it is to be explained again")
		}
	})
}

// Where nothing is to be explained, it is not looked after each of many rounds; and what
// cannot be read is asked for again after the next.
func TestLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(nil, DefaultName)
		in := &seenInputs{}
		c := newCauses(in, h, func() {}, logr.Discard())
		for range 60 {
			if err := c.explain(t.Context(), observe(h)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if in.looks > 2 {
			t.Errorf("%d looks in a minute", in.looks)
		}
		in.err = errors.New("forbidden")
		if err := c.explain(t.Context(), observe(h, "a")); err == nil {
			t.Error("no error")
		}
		in.err = nil
		if err := c.explain(t.Context(), observe(h, "a")); err != nil || h.whose()["a"].By == "" {
			t.Errorf("%v: %+v", err, h.whose())
		}
		var many []string
		for n := range 3 * mostExplained {
			many = append(many, string(rune('b'+n)))
		}
		if err := c.explain(t.Context(), observe(h, many...)); err != nil || len(h.whose()) > mostExplained+1 {
			t.Errorf("%v: %d are explained at a time", err, len(h.whose()))
		}
	})
}

// Many changes in one namespace, which its owner may make, take no other's turn; nor does one
// about which something cannot be read.
func TestTheWidestChangeComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(nil, DefaultName)
		in := &seenInputs{birthsErr: errors.New("forbidden")}
		c := newCauses(in, h, func() {}, logr.Discard())
		before := observe(h, "before") // at the first audit: when its Pods were created must be read
		time.Sleep(time.Minute)
		all := observe(h, "before", "wide")
		for n := range 3 * mostExplained {
			time.Sleep(time.Second)
			ids := []string{"before", "wide"}
			for m := range n + 1 {
				ids = append(ids, string(rune('A'+m)))
			}
			all = observe(h, ids...)
		}
		all[0].Namespaces = []string{"a", "b", "c", "d"}
		all[1].Namespaces = []string{"pay", "shop"}
		if err := c.explain(t.Context(), all); err == nil {
			t.Error("no error")
		}
		if whose := h.whose(); whose["wide"].By == "" || whose["before"].By != "" {
			t.Errorf("%d are explained, and not the widest: %+v", len(whose), before)
		}
	})
}

// What was there at the first audit began after the last Pod was created that differs.
func TestWhatWasThereBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(nil, DefaultName)
		in := &seenInputs{born: map[string]time.Time{"pod": time.Now(), "other": time.Now().Add(time.Hour)}}
		time.Sleep(time.Hour)
		in.objects = []cause.Object{written("helm")}
		time.Sleep(time.Hour)
		c := newCauses(in, h, func() {}, logr.Discard())
		if err := c.explain(t.Context(), observe(h, "a")); err != nil {
			t.Fatal(err)
		}
		if v := h.whose()["a"]; v.Short() != "helm?" {
			t.Errorf("%+v", v)
		}
	})
}

// Rounds do not wait for looks.
func TestRoundsDoNotWaitForLooks(t *testing.T) {
	c := newCauses(nil, nil, nil, logr.Discard())
	for n := range 3 {
		c.audited(make([]report.Question, n))
	}
	if got := <-c.asked; len(got) != 2 {
		t.Errorf("%d questions, want those of the last round", len(got))
	}
}

// The loop hands over what it found only where causes are asked for.
func TestCausesAreAskedForIfWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wanted := range []bool{false, true} {
			r := newRecorded(time.Minute)
			r.conf.Causes = wanted
			in := &seenInputs{}
			r.causes = newCauses(in, r.history, func() {}, logr.Discard())
			r.answer = func() (*report.Report, error) { return reportOf(workload("web", verdict.InSync)), nil }
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			done := make(chan struct{})
			go func() { r.causes.run(ctx); close(done) }()
			r.run(ctx)
			<-done
			cancel()
			if (in.looks > 0) != wanted {
				t.Errorf("causes %t: %d looks", wanted, in.looks)
			}
			if !slices.ContainsFunc(r.audits, func(a string) bool { return a != "" }) {
				t.Error("nothing was audited")
			}
		}
	})
}
