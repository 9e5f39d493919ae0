package doctor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// The rights that are asked about are those that the manifests grant, so that
// neither list grows without the other.
func TestRightsAreThoseOfTheManifests(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []authorizationv1.ResourceAttributes
	}{
		{"../../manifests/base/auditor-rbac.yaml", slices.Concat(auditRights(), serviceRights(namespace))},
		{"../../manifests/components/rollout/rbac.yaml", rolloutRights(namespace)},
		{"../../manifests/components/causes/rbac.yaml", causeRights()},
	} {
		t.Run(tt.file, func(t *testing.T) {
			var want []string
			for _, right := range tt.want {
				want = append(want, inFull(right))
			}
			slices.Sort(want)
			if diff := cmp.Diff(granted(t, tt.file), want); diff != "" {
				t.Errorf("rights (-granted +asked about):\n%s", diff)
			}
		})
	}
}

func inFull(r authorizationv1.ResourceAttributes) string {
	return strings.Join([]string{r.Namespace, r.Group, r.Resource, r.Subresource, r.Name, r.Verb}, "|")
}

// granted lists the rights of all ClusterRoles and Roles in a file.
func granted(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var role rbacv1.Role // or a ClusterRole, of which only the kind is another
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					resource, subresource, _ := strings.Cut(resource, "/")
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all = append(all, inFull(authorizationv1.ResourceAttributes{
								Namespace: role.Namespace, Group: group, Resource: resource, Subresource: subresource, Name: name, Verb: verb,
							}))
						}
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestIdentity(t *testing.T) {
	i := identity{auditor, rights("", "list create", "pods"), slices.Concat(rights("", "get", "secrets"), rights("*", "*", "*"))}
	check(t, judgeIdentity(i, []bool{true, true, false, false}), expected{OK, auditor, "what it must", ""})
	check(t, judgeIdentity(i, []bool{true, false, true, true}),
		expected{Wrong, auditor, "may not do what it must: create pods", "make deploy"},
		expected{Wrong, auditor, "more than it should: get secrets; * *", "grep -E 'sidecar-drift-auditor|"})
	none := identity{stamper, nil, rights("", "list", "pods")}
	check(t, judgeIdentity(none, []bool{false}), expected{OK, stamper, "nothing of note", ""})
	check(t, judgeIdentity(none, []bool{true}), expected{Wrong, stamper, "list pods", "clusterrolebindings"})
}

func TestOwnAccess(t *testing.T) {
	lack := slices.Concat(rights("", "create", "pods"), rights("batch", "get list", "jobs", "cronjobs"))
	check(t, []Finding{judgeOwnAccess("shop", nil, nil), judgeOwnAccess("shop", lack, nil), judgeOwnAccess("shop", lack, lack)},
		expected{OK, "you", "all namespaces", ""},
		expected{OK, "you", "the namespace shop, and not all: create pods; get and list jobs.batch, cronjobs.batch", ""},
		expected{Warning, "you", "may not audit fully: create pods", "sidecar-drift-audit"})
}
