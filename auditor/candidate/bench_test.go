package candidate

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
)

// BenchmarkCheck is what a preview computes of a workload beside what it waits for: the Pod as
// webhooks were given it, two questions and their answers, and the check.
func BenchmarkCheck(b *testing.B) {
	silent := answering(func(review []byte) ([]byte, error) { return answerTo(review, `"allowed":true`), nil })
	h := hookOf("a.io", nil)
	h.present, h.candidate = silent, silent
	c := &Candidates{hooks: []*hook{h}, compiler: compiler}
	submitted := `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","namespace":"shop"},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`
	b.ReportAllocs()
	for b.Loop() {
		q := question{asking: asking{c, replicaSetController, nil}, Asked: audit.Asked{Submitted: []byte(submitted), Answer: []byte(answered)}}
		q.submitted, q.answer = mustDecode(q.Submitted), mustDecode(q.Answer)
		before, err := given(q.submitted, q.answer, q.Answer)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := q.admitPresent(b.Context(), before); err != nil {
			b.Fatal(err)
		}
		if _, err := q.admit(b.Context(), before, true); err != nil {
			b.Fatal(err)
		}
	}
}
