package rollout

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// shareClaims notes which claims several of the steps use that one node alone can use at a time:
// the new Pods of each would come to other nodes while the other's hold the volume, and neither
// would start. Only of those that are shared it reads what they are. One that cannot be read may
// be such a one.
func (p *planner) shareClaims(ctx context.Context, steps []Step) error {
	users := map[types.NamespacedName][]int{}
	for i, s := range steps {
		if s.Result != report.Planned {
			continue
		}
		for _, name := range s.claims {
			claim := types.NamespacedName{Namespace: s.Item.Namespace, Name: name}
			users[claim] = append(users[claim], i)
		}
	}
	for claim, by := range users {
		if len(by) < 2 {
			continue
		}
		read, why, err := p.surroundings.claim(ctx, claim)
		if err != nil {
			return err
		}
		if why == "" && !read.oneNode {
			continue
		}
		for _, i := range by {
			steps[i].Claims = append(steps[i].Claims, claim.Name)
			slices.Sort(steps[i].Claims)
		}
	}
	return nil
}

// apart reports whether two steps must not be under way together: they share a
// PodDisruptionBudget or a claim.
func (s Step) apart(other Step) bool {
	shares := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
	}
	return s.Item.Namespace == other.Item.Namespace && (shares(s.Budgets, other.Budgets) || shares(s.Claims, other.Claims))
}
