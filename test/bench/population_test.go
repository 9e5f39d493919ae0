package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSized(t *testing.T) {
	for _, test := range []struct{ pods, workloads int }{{1_250, 127}, {5_000, 500}, {20_000, 2_000}} {
		p := sized(test.pods)
		if p.pods() != test.pods || len(p.workloads) != test.workloads {
			t.Errorf("%d Pods of %d workloads, want %+v", p.pods(), len(p.workloads), test)
		}
	}
	replicas := map[int]int{}
	for _, w := range sized(5_000).workloads {
		replicas[int(*w.Spec.Replicas)]++
	}
	if diff := cmp.Diff(map[int]int{300: 5, 75: 20, 16: 75, 2: 400}, replicas); diff != "" {
		t.Errorf("workloads by their number of Pods (-want +got):\n%s", diff)
	}
	small, large := sized(1_250).workloads, sized(5_000).workloads
	for i := range len(small) - 1 { // the last one may grow
		if diff := cmp.Diff(small[i], large[i]); diff != "" {
			t.Fatalf("workload %d of a larger population (-smaller +larger):\n%s", i, diff)
		}
	}
}

// withoutNames is what workloads of a shape have in common.
func withoutNames(t *testing.T, p population, i int) string {
	t.Helper()
	w := p.workloads[i].DeepCopy()
	spec := &w.Spec.Template.Spec
	spec.Containers[0].Image, spec.Containers[0].Args = "", make([]string, len(spec.Containers[0].Args))
	for i := range spec.Containers[0].Env {
		spec.Containers[0].Env[i].Value = ""
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].ConfigMap != nil {
			spec.Volumes[i].ConfigMap.Name = ""
		}
	}
	text, err := json.Marshal([]any{w.Namespace, w.Spec.Template.Annotations, spec})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestShapes(t *testing.T) {
	p, err := shapes(shapedWorkloads)
	if err != nil {
		t.Fatal(err)
	}
	again, err := shapes(shapedWorkloads)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.workloads, again.workloads); diff != "" {
		t.Errorf("made again (-first +second):\n%s", diff)
	}
	if p.pods() != shapedWorkloads {
		t.Errorf("%d Pods, want one for each of %d workloads", p.pods(), shapedWorkloads)
	}
	counts := map[string]int{}
	for i := range p.workloads {
		counts[withoutNames(t, p, i)]++
	}
	sizes := slices.Sorted(maps.Values(counts))
	single := slices.IndexFunc(sizes, func(n int) bool { return n > 1 })
	if len(sizes) != shapesInAll || single*100 != singlePercent*shapesInAll {
		t.Errorf("%d shapes, of which %d have one workload: %v", len(sizes), single, sizes)
	}
	if most := sizes[len(sizes)-1]; most < shapedWorkloads/5 {
		t.Errorf("the largest shape has %d workloads: not skewed", most)
	}
	if _, err := shapes(60); err == nil {
		t.Errorf("60 workloads suffice for %d shapes, of which most have two", shapesInAll)
	}
}
