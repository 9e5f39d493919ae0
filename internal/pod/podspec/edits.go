package podspec

import (
	"hash/maphash"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Edits identifies what [Later] managers hold of a Pod's spec, as long as the process
// lives; 0: nothing.
type Edits uint64

var editsSeed = maphash.MakeSeed()

// EditsOf returns the Edits of a Pod; 0 where its managedFields cannot be read.
func EditsOf(pod jsontree.Node) Edits {
	managers, err := Managers(pod)
	if err != nil || len(managers) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(editsSeed)
	edited := false
	for _, m := range Later(managers) {
		if held := m.Fields.Get("f:spec"); held.Exists() {
			edited = true
			h.Write(held.Raw())
			h.WriteByte(0)
		}
	}
	if !edited {
		return 0
	}
	return Edits(h.Sum64() | 1)
}
