package matrix

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// setRows are what injectors see of a StatefulSet's Pod that is another one's in a dry
// run: its ordinal, and its claims; and that it is a dry run.
func setRows() []row {
	const selector = "  selector: {matchLabels: {matrix-row: \"ROW\"}}\n"
	set := func(r row, claims string) row {
		r.manifest = workloadOf("apps/v1", "StatefulSet", "  replicas: 3\n  serviceName: NAME\n  podManagementPolicy: Parallel\n"+selector+claims+"  template: "+template)
		r.kind, r.pods = "StatefulSet", 3
		return r
	}
	const claims = "  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]\n"
	ordinal := func(of func(*corev1.Pod) string, image string) injector.Answer {
		return injector.Each(addsProxy(image), injector.Ordinal(injector.OrdinalVariable, of))
	}
	numbered := func(whence string, of func(*corev1.Pod) string) []row {
		name := fmt.Sprintf("like LeaderWorkerSet's: the ordinal of the %s in a variable, ", whence)
		return []row{
			set(habit(name+"and nothing changes", ordinal(of, "proxy:1"), ordinal(of, "proxy:1")), ""),
			set(habit(name+"another image", ordinal(of, "proxy:1"), ordinal(of, "proxy:2"), "container/proxy image"), ""),
		}
	}
	rows := slices.Concat(numbered("name", injector.OrdinalOfName), numbered("label", injector.OrdinalOfLabel))
	claimed := func(missing func(injector.Request, string) []injector.Operation, image string) injector.Answer {
		return injector.ForClaims(missing, addsProxy(image))
	}
	rows = append(rows,
		set(habit("like JuiceFS': refuses a claim that is not there, and nothing changes", claimed(injector.ClaimNotFound, "proxy:1"), claimed(injector.ClaimNotFound, "proxy:1")), claims),
		set(habit("like JuiceFS': refuses a claim that is not there, another image", claimed(injector.ClaimNotFound, "proxy:1"), claimed(injector.ClaimNotFound, "proxy:2"), "container/proxy image"), claims),
		set(habit("like gcsfuse's: skips a claim that is not there, and nothing changes", claimed(injector.SkipsClaim, "proxy:1"), claimed(injector.SkipsClaim, "proxy:1")), claims),
		set(habit("like gcsfuse's: skips a claim that is not there, another image", claimed(injector.SkipsClaim, "proxy:1"), claimed(injector.SkipsClaim, "proxy:2"), "container/proxy image"), claims))

	// One audit cannot know better; a newborn Pod tells the daemon.
	dry := habit("like WorkloadSpread's: skips dry runs, which an audit takes for a sidecar that goes", injector.NotInDryRuns(addsProxy("proxy:1")), injector.NotInDryRuns(addsProxy("proxy:1")), "container/proxy")
	dry.state, dry.stays = verdict.Orphaned, true
	dry.was = &expectation{dry.state, dry.changes}
	return append(rows, dry)
}
