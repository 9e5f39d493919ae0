package podspec

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// A fresh Pod of a StatefulSet carries the claims of a live one: what names those
// names the Pod, and nothing else does.
func TestOthersClaimsAreItsOwn(t *testing.T) {
	pod := func(name, owner, claims string) *View {
		node, err := jsontree.Parse([]byte(`{"metadata": {"name": "` + name + `", "ownerReferences": [` + owner + `]}, "spec": {"volumes": [` + claims + `]}}`))
		if err != nil {
			t.Fatal(err)
		}
		return NewView(node)
	}
	const (
		set    = `{"kind": "StatefulSet", "name": "db", "controller": true}`
		data0  = `{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}`
		logs0  = `{"name": "logs", "persistentVolumeClaim": {"claimName": "logs-db-0"}}`
		data1  = `{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}`
		shared = `{"name": "shared", "persistentVolumeClaim": {"claimName": "shared-db"}}`
	)
	for _, test := range []struct{ name, pod, owner, claims, text, want string }{
		{"its own name", "db-2", set, "", "at db-2.db", "at <pod>.db"},
		{"a claim", "db-2", set, data0, "mount data-db-0", "mount data-<pod>"},
		{"both", "db-2", set, data0 + "," + logs0, "db-2: data-db-0,logs-db-0;db-2", "<pod>: data-<pod>,logs-<pod>;<pod>"},
		{"its own claim", "db-0", set, data0, "mount data-db-0", "mount data-<pod>"},
		{"another Pod", "db-2", set, data0, "peer db-0.db", "peer db-0.db"},
		{"a longer ordinal", "db-2", set, data0, "mount data-db-01", "mount data-db-01"},
		{"claims of two Pods", "db-2", set, data0 + "," + data1, "data-db-0 data-db-1", "data-<pod> data-db-1"},
		{"a claim that is no Pod's", "db-2", set, shared, "shared-db", "shared-db"},
		{"not a StatefulSet's", "db-2", `{"kind": "Job", "name": "db", "controller": true}`, data0, "data-db-0", "data-db-0"},
		{"not its controller", "db-2", `{"kind": "StatefulSet", "name": "db"}`, data0, "data-db-0", "data-db-0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(pod(test.pod, test.owner, test.claims).ownNameless([]byte(test.text))); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	live, fresh := pod("db-1", set, data1), pod("db-2", set, data0)
	if found := Diff(live, fresh, live.Volumes(), fresh.Volumes(), Fields{}); len(found) > 0 {
		t.Errorf("claims differ: %+v", found)
	}
}
