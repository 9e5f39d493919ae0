package journal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// Whose a change is, is looked for once, outlives leaders, and goes on with what parts of it.
func TestExplain(t *testing.T) {
	w := newWorld(t, "a1", "a2")
	w.set("pq", "a1", "a2")
	w.audit()
	began, asked := w.journal.Unexplained()["pq"]
	if !asked || began != w.journal.Since()["pq"] {
		t.Fatalf("to be explained: %v", w.journal.Unexplained())
	}
	verdict := cause.Verdict{By: "helm updated ConfigMap istio-system/istio", Writes: []cause.Write{{Kind: "ConfigMap", Name: "istio", Manager: "helm", What: cause.Updated, Certainty: cause.Sure}}}
	w.journal.Explain("pq", Interval{By: began.By.Add(time.Second)}, cause.Verdict{By: "of another time"})
	w.journal.Explain("another", began, cause.Verdict{By: "of another change"})
	w.journal.Explain("pq", began, verdict)
	w.journal.Explain("pq", began, cause.Verdict{By: "once more"})
	if len(w.journal.Unexplained()) != 0 || w.journal.Whose()["pq"].By != verdict.By {
		t.Errorf("explained: %+v", w.journal.Whose())
	}

	entries, earlier := w.journal.Entries()
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	var kept []Entry
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	w.journal = Restore(kept, earlier, w.now)
	if got := w.journal.Whose()["pq"]; got.By != verdict.By || got.Short() != "helm" {
		t.Errorf("of a new leader: %+v", got)
	}

	w.set("p", "a1") // half of it is rolled out
	w.born["a1"] = w.now
	w.audit()
	for id, v := range w.journal.Whose() {
		if v.By != verdict.By {
			t.Errorf("%s: %+v", id, v)
		}
	}
	if len(w.journal.Whose()) != 2 || len(w.journal.Unexplained()) != 0 {
		t.Errorf("parted: %+v, to be explained: %v", w.journal.Whose(), w.journal.Unexplained())
	}
	w.rollOut("a1", "a2")
	w.audit()
	if len(w.journal.Whose()) != 0 || len(w.journal.Unexplained()) != 0 {
		t.Errorf("ended: %+v", w.journal.Whose())
	}
}
