package doctor

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/util/version"
)

const admissionAPI = "admissionregistration.k8s.io/v1"

func (e *examiner) apiServer(ctx context.Context) {
	e.add(judgeVersion(e.options.ServerVersion, e.options.OldestServer))
	served := &metav1.APIResourceList{}
	err := e.objects.CoreV1().RESTClient().Get().AbsPath("/apis/" + admissionAPI).Do(ctx).Into(served)
	e.add(judgeAPIs(as(e, served, err)))
}

// judgeVersion compares the API server's version, empty if it may not be read,
// with the oldest that will do.
func judgeVersion(version string, oldest *apiversion.Version) Finding {
	t := topic{checkAPIServer, "version"}
	if version == "" {
		return t.notChecked("ask somebody who may", "the version may not be read")
	}
	parsed, err := apiversion.ParseGeneric(strings.TrimSuffix(version, "+"))
	if err != nil {
		return t.notChecked("", "%v", err)
	}
	if parsed.LessThan(oldest) {
		return t.wrong("upgrade the cluster: audit and rollout refuse an older one, and nothing would fence our right to create Pods there",
			"Kubernetes %s, and %s or later is needed", version, oldest)
	}
	return t.ok("Kubernetes %s (%s or later is needed)", version, oldest)
}

// judgeAPIs looks for the kinds that the manifests hold and that an API server
// can be told not to serve.
func judgeAPIs(served read[metav1.APIResourceList]) Finding {
	t := topic{checkAPIServer, admissionAPI}
	const remedy = "serve it (kube-apiserver --runtime-config); until then, do not install the manifests: nothing would fence the right to create Pods"
	if served.missing() {
		return t.wrong(remedy, "is not served")
	}
	if served.err != nil {
		return t.unread(served.err)
	}
	var missing []string
	for _, resource := range []string{"mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		if !slices.ContainsFunc(served.value.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
			missing = append(missing, resource)
		}
	}
	if len(missing) > 0 {
		return t.wrong(remedy, "%s not served", list(missing))
	}
	return t.ok("webhook configurations and ValidatingAdmissionPolicies are served")
}
