package candidate

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
)

// BenchmarkCheck is what a preview computes of a workload beside what it waits for: the Pod as
// webhooks were given it, two questions and their answers, and the check.
func BenchmarkCheck(b *testing.B) {
	// What Istio made of a Pod, all of it as one operation.
	fresh, err := os.ReadFile("../verdict/testdata/api-server-1.34-drifted/fresh.json")
	if err != nil {
		b.Fatal(err)
	}
	template, err := os.ReadFile("../verdict/testdata/api-server-1.34-drifted/template.json")
	if err != nil {
		b.Fatal(err)
	}
	patch, err := encode(object{"x": []any{object{"op": "replace", "path": "/spec", "value": mustDecode(fresh)["spec"]}}})
	if err != nil {
		b.Fatal(err)
	}
	patch = patch[len(`{"x":`) : len(patch)-1]
	answer := answering(func(review []byte) ([]byte, error) {
		uid, _, _ := strings.Cut(string(review[bytes.Index(review, []byte(`"uid":"`))+len(`"uid":"`):]), `"`)
		return []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"` + uid + `","allowed":true,"patchType":"JSONPatch","patch":"` +
			base64.StdEncoding.EncodeToString(patch) + `"}}`), nil
	})
	h := hookOf("a.io", nil)
	h.present, h.candidate = answer, answer
	c := &Candidates{hooks: []*hook{h}, compiler: compiler}
	pod := mustDecode(template)
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	submitted, err := encode(pod)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		q := question{asking: asking{c, replicaSetController, nil}, Asked: audit.Asked{Submitted: submitted, Answer: fresh}}
		q.submitted, q.answer = mustDecode(q.Submitted), mustDecode(q.Answer)
		before, err := given(q.submitted, q.answer, q.Answer)
		if err != nil {
			b.Fatal(err)
		}
		present, _, err := q.admitPresent(b.Context(), before)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := q.admit(b.Context(), before, &present); err != nil {
			b.Fatal(err)
		}
	}
}
