package inventory

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func lending(t *testing.T, text string) jsontree.Node {
	t.Helper()
	root, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestAccountLends(t *testing.T) {
	const held = `"metadata":{"managedFields":[
		{"manager":"a","operation":"Update","time":"2026-01-01T00:00:00Z","fieldsV1":{"f:imagePullSecrets":{}}},
		{"manager":"b","operation":"Update","time":"2026-01-03T00:00:00Z","fieldsV1":{"f:metadata":{"f:labels":{}}}},
		{"manager":"c","operation":"Apply","time":"2026-01-02T00:00:00Z","fieldsV1":{"f:imagePullSecrets":{}}}]}`
	for name, test := range map[string]struct {
		account string
		want    verdict.Lender
	}{
		"none":                       {`{` + held + `}`, verdict.Lender{}},
		"two, and when":              {`{` + held + `,"imagePullSecrets":[{"name":"b"},{"name":"a"}]}`, verdict.Lender{Items: []string{"b", "a"}, Since: 1767312000}},
		"nothing says when":          {`{"imagePullSecrets":[{"name":"a"}]}`, verdict.Lender{Items: []string{"a"}}},
		"a manager that has no time": {`{"metadata":{"managedFields":[{"manager":"a","fieldsV1":{"f:imagePullSecrets":{}}}]},"imagePullSecrets":[{"name":"a"}]}`, verdict.Lender{Items: []string{"a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := accountLends(lending(t, test.account))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamespaceLends(t *testing.T) {
	nothing := &verdict.Lender{}
	for name, test := range map[string]struct {
		annotations           string
		selector, tolerations *verdict.Lender
	}{
		"nothing":                           {``, nothing, nothing},
		"a node selector":                   {`"scheduler.alpha.kubernetes.io/node-selector":"a=b,c=d"`, &verdict.Lender{Items: []string{"a=b", "c=d"}}, nothing},
		"what is none":                      {`"scheduler.alpha.kubernetes.io/node-selector":"a in (b)"`, nothing, nothing},
		"OpenShift's":                       {`"openshift.io/node-selector":"a=b","openshift.io/sa.scc.mcs":"s0"`, &verdict.Lender{Items: []string{"a=b"}}, nothing},
		"OpenShift's, which is empty":       {`"openshift.io/node-selector":"","openshift.io/sa.scc.mcs":"s0"`, nothing, nothing},
		"OpenShift's, that of the cluster":  {`"openshift.io/sa.scc.mcs":"s0"`, nil, nothing},
		"tolerations":                       {`"scheduler.alpha.kubernetes.io/defaultTolerations":"[{\"key\":\"a\"}]"`, nothing, &verdict.Lender{Items: []string{`{"key":"a"}`}}},
		"tolerations that are not readable": {`"scheduler.alpha.kubernetes.io/defaultTolerations":"[{"`, nothing, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			selector, tolerations, err := namespaceLends(lending(t, `{"metadata":{"annotations":{`+test.annotations+`}}}`))
			if err != nil {
				t.Fatal(err)
			}
			if selector != nil {
				slices.Sort(selector.Items)
			}
			if diff := cmp.Diff([]*verdict.Lender{test.selector, test.tolerations}, []*verdict.Lender{selector, tolerations}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
