package matrix

import (
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// undecidableRows are what an audit cannot know, and how it says so: an injector
// that looks at who creates a Pod may answer an audit otherwise than the Pod's
// controller. No such verdict is rolled out. Asked as that controller it decides.
func undecidableRows() []row {
	orphaned := func(name string, approximate bool) row {
		r := row{
			group: "what cannot be decided", name: name, state: verdict.Orphaned, changes: []string{"container/proxy"},
			approximate: approximate, stays: true,
		}
		r.was = &expectation{r.state, r.changes}
		inSync := expectation{state: verdict.InSync}
		r.asked = &asked{inSync, inSync, inSync}
		return r
	}
	condition := orphaned("a webhook's match condition looks at who asks", true)
	condition.in = controllersOnly
	return []row{
		condition.with(answers{controllersOnly: addsProxy("proxy:1")}),
		orphaned("a webhook looks at who asks, which nothing tells", false).with(answers{first: injector.ForControllers(addsProxy("proxy:1"))}),
	}
}
