package acceptance

import (
	"testing"
)

// Pods that are alike in all but who set what they differ by are judged each for
// itself: one that was born with the sidecar that another was edited to have drifts.
func TestAuditOfPodsThatWereEdited(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	deployWeb(t, c, namespace, 2, "web")
	for _, pod := range podsOf(t, c, namespace, "app=web") {
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "set", "image", "pod/"+pod.Name, "proxy=proxy:2"); err != nil {
			t.Fatal(err)
		}
	}
	running.Inject(addsProxy("proxy:2"))
	scale(t, c, namespace, 5)
	rolledOut(t, c, namespace, "deployment/web")
	auditNamespace(t, c, namespace, "Deployment/web InSync 5")
	running.Inject(addsProxy("proxy:3"))
	auditNamespace(t, c, namespace, "Deployment/web Drifted 3 +2 Modified")
}
