package podspec

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

func viewOf(t testing.TB, pod string) *View {
	t.Helper()
	root, err := jsontree.Parse([]byte(pod))
	if err != nil {
		t.Fatal(err)
	}
	return NewView(root)
}

// TestInjectedMatchesSetAlgebra compares what AppendInjected finds in a Pod with
// structured-merge-diff's answer, the leaves of the Pod without the owned ones,
// for generated Pods and random owners.
func TestInjectedMatchesSetAlgebra(t *testing.T) {
	compared := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 0))
		pod := podtest.Pod(r, 0.15+0.5*r.Float64())
		compared += compareInjected(t, fmt.Sprint("seed ", seed), pod, r, nil)
	}
	for name, src := range map[string][]byte{"live": podtest.Live, "fresh": podtest.Fresh} {
		for seed := range uint64(20) {
			var pod corev1.Pod
			if err := json.Unmarshal(src, &pod); err != nil {
				t.Fatal(err)
			}
			pod.Name, pod.ManagedFields = "", nil
			compared += compareInjected(t, fmt.Sprint(name, " seed ", seed), &pod, rand.New(rand.NewPCG(seed, 1)), addedByAPIServer)
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d injected leaves were compared", compared)
	}
}

// addedByAPIServer are fields of the real Pods that hold defaults, and the mount
// of the ServiceAccount's token: no injector's doing.
var addedByAPIServer = []string{
	".imagePullPolicy", ".terminationMessagePath", ".terminationMessagePolicy", ".protocol",
	".httpGet.scheme", "Probe.successThreshold", ".defaultMode",
	".volumeMounts[/var/run/secrets/kubernetes.io/serviceaccount]",
	"dnsPolicy", "restartPolicy", "schedulerName", "terminationGracePeriodSeconds",
}

func compareInjected(t *testing.T, name string, pod *corev1.Pod, r *rand.Rand, except []string) int {
	t.Helper()
	all, err := typedPod(t, pod).ToFieldSet()
	if err != nil {
		t.Fatal(err)
	}
	owned, share := fieldpath.NewSet(), r.Float64()
	for path := range all.All() {
		if r.Float64() < share {
			owned.Insert(path.Copy())
		}
	}
	want := map[string]bool{}
	for path := range all.Leaves().Difference(owned).All() {
		text := pathText(path)
		if text != "" && !slices.ContainsFunc(except, func(part string) bool { return strings.Contains(text, part) }) {
			want[text] = true
		}
	}
	got := injectedLeaves(t, pod, owned, all.Leaves())
	missing, extra := difference(want, got), difference(got, want)
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s: not found as injected: %v\nfound, and not injected: %v", name, missing, extra)
	}
	return len(want)
}

// pathText writes a path below spec as leavesOf does; "" for what is no part of
// a comparison: noise, defaults and maps that say nothing.
func pathText(path fieldpath.Path) string {
	var text strings.Builder
	var last string
	for i, element := range path {
		switch {
		case i == 0 && *element.FieldName != "spec":
			return ""
		case i == 0:
		case element.FieldName != nil:
			last = *element.FieldName
			if i == 1 && (placement([]byte(last)) || last == "ephemeralContainers") {
				return ""
			}
			text.WriteString("." + last)
		case element.Value != nil:
			fmt.Fprintf(&text, "[%v]", (*element.Value).Unstructured())
		default:
			var values []string
			for _, key := range *element.Key {
				values = append(values, fmt.Sprint(key.Value.Unstructured()))
			}
			if strings.HasPrefix(values[0], TokenVolume) {
				return ""
			}
			fmt.Fprintf(&text, "[%s]", strings.Join(values, ","))
		}
	}
	switch last {
	case "limits", "requests", "resources", "securityContext", "metadata":
		return ""
	}
	return strings.TrimPrefix(text.String(), ".")
}

// injectedLeaves walks the Pod as the fingerprint does. Leaves below an atomic
// map are counted as that map.
func injectedLeaves(t *testing.T, pod *corev1.Pod, owned, leaves *fieldpath.Set) map[string]bool {
	t.Helper()
	fields, err := owned.ToJSON()
	if err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, string(podtest.JSON(t, pod)))
	root, err := jsontree.Parse(fields)
	if err != nil {
		t.Fatal(err)
	}
	spec := Union([]Manager{{Fields: root}}).Field([]byte("spec"))
	atoms := map[string]bool{}
	for path := range leaves.All() {
		atoms[pathText(path)] = true
	}
	found := map[string]bool{}
	collect := func(path string, m Member, owned Fields) {
		form, some := v.AppendInjected(nil, m, owned)
		if !some {
			return
		}
		for _, leaf := range leavesOf(t, form, path) {
			for !atoms[leaf] && strings.Contains(leaf, ".") {
				leaf = leaf[:strings.LastIndexByte(leaf, '.')]
			}
			found[leaf] = true
		}
	}
	for _, c := range v.Containers() {
		list := spec.Field(c.Field)
		collect(fmt.Sprintf("%s[%s]", c.Field, c.Key), c.Member, list.Item(c.Member))
	}
	if volumes := v.Volumes(); volumes.Node.Exists() {
		collect("volumes", volumes, spec.Field(volumes.Field))
	}
	for _, m := range v.PodFields() {
		if !m.Default {
			collect(string(m.Key), m, spec.Field(m.Key))
		}
	}
	return found
}

func difference(a, b map[string]bool) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for path := range maps.Keys(a) {
			if !b[path] && !yield(path) {
				return
			}
		}
	})
}

// TestLaterThanOurResize: what a rollout has resized is nobody's edit, what others have
// resized is theirs.
func TestLaterThanOurResize(t *testing.T) {
	for name, test := range map[string]struct {
		manager Manager
		edit    bool
	}{
		"ours":                 {Manager{Name: Resizer, Operation: "Update", Subresource: "resize"}, false},
		"kubectl's":            {Manager{Name: "kubectl-edit", Operation: "Update", Subresource: "resize"}, true},
		"our name, of the Pod": {Manager{Name: Resizer, Operation: "Update"}, true},
		"another name of ours": {Manager{Name: "sidecar-drift", Operation: "Update"}, true},
	} {
		if got := len(Later([]Manager{test.manager})) == 1; got != test.edit {
			t.Errorf("%s: an edit: %t, want %t", name, got, test.edit)
		}
	}
}
