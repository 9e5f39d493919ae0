package injection

import (
	"testing"

	"k8s.io/apimachinery/pkg/labels"
)

// istio's webhooks, shortened, and one of each thing that keeps a webhook away.
const configurations = `{"items":[{"webhooks":[
	{"name":"namespace.sidecar-injector.istio.io",
	 "namespaceSelector":{"matchExpressions":[{"key":"istio-injection","operator":"In","values":["enabled"]}]},
	 "objectSelector":{"matchExpressions":[{"key":"sidecar.istio.io/inject","operator":"NotIn","values":["false"]}]},
	 "rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"scope":"*"}]},
	{"name":"everything","rules":[{"operations":["*"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*/*"]}]},
	{"name":"conditional","matchConditions":[{"name":"some","expression":"false"}],
	 "rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]},
	{"name":"updates","rules":[{"operations":["UPDATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]},
	{"name":"cluster","rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["*"],"scope":"Cluster"}]},
	{"name":"deployments","rules":[{"operations":["CREATE"],"apiGroups":["apps"],"apiVersions":["v1"],"resources":["*"]}]}
]}]}`

func TestMustBeCalled(t *testing.T) {
	enabled := labels.Set{"istio-injection": "enabled"}
	for _, test := range []struct {
		name           string
		webhook        string
		namespace, pod labels.Set
		want           bool
	}{
		{"both selectors", "namespace.sidecar-injector.istio.io", enabled, nil, true},
		{"another namespace", "namespace.sidecar-injector.istio.io", nil, nil, false},
		{"a Pod that opted out", "namespace.sidecar-injector.istio.io", enabled, labels.Set{"sidecar.istio.io/inject": "false"}, false},
		{"no selectors", "everything", nil, nil, true},
		{"conditions that only CEL can tell", "conditional", nil, nil, false},
		{"updates only", "updates", nil, nil, false},
		{"resources of the cluster only", "cluster", nil, nil, false},
		{"another group", "deployments", nil, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := definitionsNamed(test.webhook, []byte(configurations))
			if err != nil || len(found) != 1 {
				t.Fatalf("%d webhooks of the name, error %v", len(found), err)
			}
			if got := found[0].mustBeCalled(test.namespace, test.pod); got != test.want {
				t.Errorf("mustBeCalled is %v", got)
			}
		})
	}
}
