package doctor

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/util/version"
)

func TestVersion(t *testing.T) {
	for version, want := range map[string]State{
		"v1.37.2": OK, "v1.30.0": OK, "v1.31.4-gke.1": OK, "v1.31.4-eks-1+": OK,
		"v1.29.9": Wrong, "": NotChecked, "unknown": NotChecked,
	} {
		t.Run(version, func(t *testing.T) {
			check(t, []Finding{judgeVersion(version, apiversion.MajorMinor(1, 30))}, expected{state: want, message: version})
		})
	}
}

func TestAPIs(t *testing.T) {
	resources := func(names ...string) read[metav1.APIResourceList] {
		served := &metav1.APIResourceList{}
		for _, name := range names {
			served.APIResources = append(served.APIResources, metav1.APIResource{Name: name})
		}
		return there(served)
	}
	all := []string{"mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicies/status", "validatingadmissionpolicybindings"}
	check(t, []Finding{
		judgeAPIs(resources(all...)),
		judgeAPIs(resources(all[0], all[2])),
		judgeAPIs(notThere[metav1.APIResourceList]()),
		judgeAPIs(notAllowed[metav1.APIResourceList]()),
	},
		expected{state: OK},
		expected{Wrong, admissionAPI, "validatingadmissionpolicies and validatingadmissionpolicybindings not served", "--runtime-config"},
		expected{Wrong, admissionAPI, "not served", "--runtime-config"},
		expected{state: NotChecked, message: "you may not"},
	)
}
