package inventory

import (
	"fmt"
	"testing"
)

// Of workloads that come and go no more is remembered than twice as many as there are owners
// of Pods; what is asked for again and again is read once.
func TestWorkloadsThatWentAreForgotten(t *testing.T) {
	stays := anOwner("deployments", "shop", "web", "stays", "", aTemplate)
	client, asked := serve(t, stays)
	w := newWorkloads(client, Selection{}, true)
	const owners = 2 * leastMost
	w.forOwners(owners)
	exist := func(name string) bool {
		t.Helper()
		there, err := w.exist(t.Context(), claim{"shop", ownerKey{"apps", "Deployment", name, "stays"}}, Owner{"apps/v1", "Deployment", name, "stays"})
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
	for n := range 3 * owners {
		if exist(fmt.Sprint("went-", n)) || !exist("web") {
			t.Fatalf("what is there, and what is not, is confused at %d", n)
		}
		if got := len(w.known) + len(w.before); got > 2*owners {
			t.Fatalf("%d are remembered of %d", got, owners)
		}
	}
	if want := 3*owners + 1; len(*asked) != want {
		t.Errorf("%d were read, want %d: each once", len(*asked), want)
	}
}
