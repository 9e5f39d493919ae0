package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
)

// running counts Pods by the specs that those who are alike had when they were compared.
func (f *Finding) running(pods []inventory.Pod) {
	f.Revision.Running = nil
	if f.Specs == nil {
		return
	}
	of := map[versions.Spec]versions.Running{}
	for _, pod := range pods {
		for _, spec := range f.Specs[pod.Alike] {
			r := of[spec]
			r.Spec = spec
			r.Pods++
			if pod.Created > 0 {
				at := time.Unix(pod.Created, 0).UTC()
				r.Oldest = earlier(r.Oldest, at)
				if at.After(r.Youngest) {
					r.Youngest = at
				}
			}
			of[spec] = r
		}
	}
	for _, r := range of {
		f.Revision.Running = append(f.Revision.Running, r)
	}
	slices.SortFunc(f.Revision.Running, func(a, b versions.Running) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), strings.Compare(a.Spec.ID().String(), b.Spec.ID().String()))
	})
}

// takeSpecs takes down what the Pods of a comparison run with, where that is wanted.
func (a *Audit) takeSpecs(f *Finding, c Comparison, alike inventory.Alike) error {
	if !a.opts.Versions || c.Verdict.State == verdict.NotInjected {
		return nil
	}
	wanted, err := versions.OfSidecars(c.Fresh, c.Verdict.Sidecars)
	if err != nil {
		return err
	}
	live := wanted // where the digests say that nothing differs
	if c.Live.Exists() {
		if live, err = versions.OfSidecars(c.Live, c.Verdict.Sidecars); err != nil {
			return err
		}
	}
	if f.Specs == nil {
		f.Specs = map[inventory.Alike][]versions.Spec{}
	}
	f.Specs[alike], f.Revision.Wanted = live, wanted
	return nil
}
