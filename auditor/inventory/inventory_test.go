package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Of Pods that are alike one is kept, while there is room for it.
func TestAddKeepsWhatHasRoom(t *testing.T) {
	i := &Inventory{groups: map[Key]*group{}, stamps: map[string]string{}, kept: map[keptKey]bool{}, spare: 10}
	owner := Owner{APIVersion: "apps/v1", Kind: replicaSets.kind, Name: "web-1", UID: "a"}
	buffer := []byte("123456789")
	for _, pod := range []struct {
		name   string
		digest byte
		size   int
	}{{"first", 1, 6}, {"alike", 1, 4}, {"too large", 2, 5}, {"small", 2, 4}, {"no room", 3, 1}} {
		i.add(record{Pod: Pod{Name: pod.name, Alike: Alike{Digest: verdict.Digest{pod.digest}}}, owner: owner}, buffer[:pod.size])
	}
	copy(buffer, "*********") // the next Pod is read into it
	got := map[string]string{}
	for _, pod := range i.groups[Key{claim: claim{owner: owner.key()}}].pods {
		got[pod.Name] = string(pod.JSON)
	}
	want := map[string]string{"first": "123456", "alike": "", "too large": "", "small": "1234", "no room": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
