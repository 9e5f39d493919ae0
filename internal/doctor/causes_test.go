package doctor

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestJudgeCauses(t *testing.T) {
	if f := judgeCauses(nil); f.State != OK {
		t.Errorf("nothing is missing: %+v", f)
	}
	f := judgeCauses(slices.Concat(rights("", "list", "limitranges"), causeRightsIn("istio-system"), causeRightsIn("dapr-system")))
	const want = "the auditor is to look whose changes are, and may not list limitranges; list configmaps, services in istio-system; list configmaps, services in dapr-system: what it cannot see is said with each change"
	if f.State != Warning || f.Message != want {
		t.Errorf("got  %s: %s\nwant %s", f.State, f.Message, want)
	}
}

func TestLooksForCauses(t *testing.T) {
	for args, want := range map[string]bool{"--causes": true, "--causes=true": true, "--causes=false": false, "--policy-reports": false} {
		d := &appsv1.Deployment{}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Args: []string{"serve", args}}}
		if looksForCauses(d) != want {
			t.Errorf("%s: %t", args, !want)
		}
	}
}
