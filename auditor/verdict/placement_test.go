package verdict

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// created is when the live Pods of these tests were.
const created = "2026-01-02T00:00:00Z"

// before and afterwards are times that a Lender was set at.
const before, afterwards = 1767225600, 1767398400 // 2026-01-01 and 2026-01-03

// placedPod is a Pod with a sidecar, and with what its spec and its metadata have besides.
func placedPod(t *testing.T, spec, metadata string) []byte {
	t.Helper()
	if spec != "" {
		spec = "," + spec
	}
	if metadata != "" {
		metadata = "," + metadata
	}
	return fmt.Appendf(nil, `{"metadata":{"name":"web-0","creationTimestamp":%q%s},"spec":{"containers":[{"name":"app"},{"name":"proxy"}]%s}}`, created, metadata, spec)
}

func owner(kind string) string {
	return `"ownerReferences":[{"kind":"` + kind + `","name":"web","controller":true}]`
}

// TestPlacement: who else may have set a field, both ways.
func TestPlacement(t *testing.T) {
	lends := func(since int64, items ...string) *Lender { return &Lender{Items: items, Since: since} }
	const (
		notReady = `{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}`
		shorter  = `{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":30}`
		memory   = `{"key":"node.kubernetes.io/memory-pressure","operator":"Exists","effect":"NoSchedule"}`
		disk     = `{"key":"node.kubernetes.io/disk-pressure","operator":"Exists","effect":"NoSchedule"}`
		device   = `{"key":"example.com/gpu","operator":"Exists","effect":"NoSchedule"}`
		spot     = `{"key":"spot","operator":"Exists"}`
		istio    = `"annotations":{"sidecar.istio.io/status":"{\"imagePullSecrets\":[\"%s\"]}"}`
	)
	tolerates := func(tolerations ...string) string {
		list := ""
		for i, toleration := range tolerations {
			if i > 0 {
				list += ","
			}
			list += toleration
		}
		return `"tolerations":[` + list + `]`
	}
	pulls := func(names ...string) string {
		var list []map[string]string
		for _, name := range names {
			list = append(list, map[string]string{"name": name})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return `"imagePullSecrets":` + string(text)
	}
	for name, test := range map[string]struct {
		live, fresh, template   string
		liveMetadata, freshMeta string
		evidence                *Evidence
		want, undecided         []string
	}{
		// ServiceAccount: its pull secrets go to Pods that have none.
		"the account's pull secret came": {
			fresh: pulls("registry"), evidence: &Evidence{PullSecrets: lends(afterwards, "registry")},
		},
		"another pull secret came": {
			fresh: pulls("registry", "mesh"), evidence: &Evidence{PullSecrets: lends(afterwards, "registry")},
			want: []string{"imagePullSecrets[mesh]"},
		},
		"a pull secret came, and the account has none": {
			fresh: pulls("mesh"), evidence: &Evidence{PullSecrets: lends(0)}, want: []string{"imagePullSecrets[mesh]"},
		},
		"a pull secret came, and the account is not known": {
			fresh: pulls("mesh"), evidence: &Evidence{}, undecided: []string{"imagePullSecrets[mesh]"},
		},
		"a pull secret of files came": {fresh: pulls("mesh"), want: []string{"imagePullSecrets[mesh]"}},
		"a pull secret went, and the account has none any more": {
			live: pulls("registry"), evidence: &Evidence{PullSecrets: lends(0)}, undecided: []string{"imagePullSecrets[registry]"},
		},
		"a pull secret went, and the account was edited since": {
			live: pulls("a", "old"), fresh: pulls("a"), evidence: &Evidence{PullSecrets: lends(afterwards, "a")}, undecided: []string{"imagePullSecrets[old]"},
		},
		"a pull secret went, and the account was as it is": {
			live: pulls("a", "mesh"), fresh: pulls("a"), evidence: &Evidence{PullSecrets: lends(before, "a")}, want: []string{"imagePullSecrets[mesh]"},
		},
		"the account's pull secret was replaced": {
			live: pulls("old"), fresh: pulls("new"), evidence: &Evidence{PullSecrets: lends(afterwards, "new")}, undecided: []string{"imagePullSecrets[old]"},
		},
		"a pull secret was replaced by no account": {
			live: pulls("2025"), fresh: pulls("2026"), evidence: &Evidence{PullSecrets: lends(0)},
			want: []string{"imagePullSecrets[2025]", "imagePullSecrets[2026]"},
		},
		"the template has pull secrets, so that the account gives none": {
			template: pulls("own"), live: pulls("own", "mesh"), fresh: pulls("own"), evidence: &Evidence{}, want: []string{"imagePullSecrets[mesh]"},
		},
		"the template's own pull secret": {template: pulls("own"), live: pulls("own"), fresh: pulls("own"), evidence: &Evidence{}},
		"the injector lists what went": {
			live: pulls("mesh"), liveMetadata: fmt.Sprintf(istio, "mesh"), evidence: &Evidence{}, want: []string{"imagePullSecrets[mesh]"},
		},
		"the injector lists what came": {
			fresh: pulls("mesh", "other"), freshMeta: fmt.Sprintf(istio, "mesh"), evidence: &Evidence{},
			want: []string{"imagePullSecrets[mesh]"}, undecided: []string{"imagePullSecrets[other]"},
		},
		"another account": {
			live: pulls("mesh"), fresh: `"serviceAccountName":"mesh"`, evidence: &Evidence{PullSecrets: lends(before, "a")},
			want: []string{"serviceAccountName"}, undecided: []string{"imagePullSecrets[mesh]"},
		},
		"OpenShift makes the account's pull secret anew": {
			live: pulls("default-dockercfg-abcde"), fresh: pulls("default-dockercfg-vwxyz"),
		},
		"a pull secret that only looks so": {fresh: pulls("default-dockercfg"), want: []string{"imagePullSecrets[default-dockercfg]"}},
		"another order of pull secrets":    {live: pulls("a", "b"), fresh: pulls("b", "a"), evidence: &Evidence{}},

		// DefaultTolerationSeconds, PodTolerationRestriction, ExtendedResourceToleration.
		"default tolerations came":                {fresh: tolerates(notReady)},
		"default tolerations with other seconds":  {live: tolerates(notReady), fresh: tolerates(shorter)},
		"memory pressure, as a sidecar requests":  {fresh: tolerates(memory)},
		"a toleration came":                       {fresh: tolerates(notReady, spot), evidence: &Evidence{Tolerations: lends(0)}, want: []string{"tolerations"}},
		"a toleration of the template":            {template: tolerates(spot), live: tolerates(spot, notReady), fresh: tolerates(spot)},
		"a toleration of files came":              {fresh: tolerates(spot), want: []string{"tolerations"}},
		"a toleration came, no namespace":         {fresh: tolerates(spot), evidence: &Evidence{}, undecided: []string{"tolerations"}},
		"the namespace's toleration came":         {fresh: tolerates(spot), evidence: &Evidence{Tolerations: lends(afterwards, spot)}},
		"a toleration went":                       {live: tolerates(spot), evidence: &Evidence{Tolerations: lends(0)}, undecided: []string{"tolerations"}},
		"a toleration went, and not a namespaces": {live: tolerates(spot), evidence: &Evidence{Tolerations: lends(before, disk)}, want: []string{"tolerations"}},
		"a toleration of disk pressure":           {fresh: tolerates(disk), want: []string{"tolerations"}},
		"a DaemonSet's of disk pressure":          {live: tolerates(disk), liveMetadata: owner("DaemonSet"), freshMeta: owner("DaemonSet")},
		"a DaemonSet's spot":                      {fresh: tolerates(spot), liveMetadata: owner("DaemonSet"), freshMeta: owner("DaemonSet"), want: []string{"tolerations"}},
		"of a device that nobody requests":        {fresh: tolerates(device), want: []string{"tolerations"}},
		"of a device that is requested": {
			fresh: tolerates(device) + `,"initContainers":[{"name":"i","resources":{"requests":{"example.com/gpu":"1"}}}]`,
			live:  `"initContainers":[{"name":"i","resources":{"requests":{"example.com/gpu":"1"}}}]`,
		},
		"another order of tolerations": {live: tolerates(spot, device), fresh: tolerates(device, spot)},
		"a toleration that was added to the live Pod": {
			live:         tolerates(spot),
			liveMetadata: `"managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{}}}}}},{"manager":"kubectl","operation":"Update","fieldsV1":{"f:spec":{"f:tolerations":{}}}}]`,
		},

		// PodNodeSelector, RuntimeClass.
		"a node selector came": {
			fresh: `"nodeSelector":{"pool":"a"}`, evidence: &Evidence{NodeSelector: lends(0)}, want: []string{"nodeSelector.pool"},
		},
		"the namespace's node selector came": {
			fresh: `"nodeSelector":{"pool":"a"}`, evidence: &Evidence{NodeSelector: lends(afterwards, "pool=a")},
		},
		"the namespace's node selector changed": {
			live: `"nodeSelector":{"pool":"a"}`, fresh: `"nodeSelector":{"pool":"b"}`, evidence: &Evidence{NodeSelector: lends(afterwards, "pool=b")},
			undecided: []string{"nodeSelector.pool"},
		},
		"the namespace's node selector went": {
			live: `"nodeSelector":{"pool":"a"}`, evidence: &Evidence{NodeSelector: lends(0)}, undecided: []string{"nodeSelector.pool"},
		},
		"a node selector changed": {
			live: `"nodeSelector":{"pool":"a"}`, fresh: `"nodeSelector":{"pool":"b"}`, evidence: &Evidence{NodeSelector: lends(0)}, want: []string{"nodeSelector.pool"},
		},
		"a node selector changed, no namespace": {
			live: `"nodeSelector":{"pool":"a"}`, fresh: `"nodeSelector":{"pool":"b"}`, evidence: &Evidence{}, undecided: []string{"nodeSelector.pool"},
		},
		"a RuntimeClass's scheduling changed": {
			live:     `"runtimeClassName":"kata","nodeSelector":{"pool":"a"},` + tolerates(spot),
			fresh:    `"runtimeClassName":"kata","nodeSelector":{"pool":"b"},` + tolerates(device),
			evidence: &Evidence{NodeSelector: lends(0), Tolerations: lends(0)}, undecided: []string{"nodeSelector.pool", "tolerations"},
		},
		"a node selector that Kueue chose": {
			live:         `"nodeSelector":{"pool":"a"}`,
			liveMetadata: `"managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{}}}}}},{"manager":"kueue","operation":"Update","fieldsV1":{"f:spec":{"f:nodeSelector":{}}}}]`,
		},

		// Priority.
		"a default class came":            {fresh: `"priorityClassName":"standard","priority":7`, undecided: []string{"priorityClassName"}},
		"another default class":           {live: `"priorityClassName":"a"`, fresh: `"priorityClassName":"b"`, undecided: []string{"priorityClassName"}},
		"a class beside the template's":   {template: `"priorityClassName":"a"`, live: `"priorityClassName":"a"`, fresh: `"priorityClassName":"b"`, want: []string{"priorityClassName"}},
		"another value of the class":      {live: `"priority":7,"preemptionPolicy":"Never"`, fresh: `"priority":8`},
		"another overhead of the class":   {live: `"runtimeClassName":"kata","overhead":{"cpu":"1"}`, fresh: `"runtimeClassName":"kata"`},
		"another runtime class":           {fresh: `"runtimeClassName":"kata"`, want: []string{"runtimeClassName"}},
		"another scheduler, as Volcano's": {live: `"schedulerName":"default-scheduler"`, fresh: `"schedulerName":"volcano"`, want: []string{"schedulerName"}},
		"gates, as of Kueue":              {fresh: `"schedulingGates":[{"name":"kueue.x-k8s.io/admission"}]`},
		"the scheduler's node":            {live: `"nodeName":"n1"`},

		// Names, and defaults.
		"a host name":             {fresh: `"hostname":"web"`, want: []string{"hostname"}},
		"the Pod's own name":      {live: `"hostname":"web-0"`, fresh: `"hostname":"web-0"`},
		"a StatefulSet's":         {live: `"hostname":"web-0","subdomain":"a"`, fresh: `"hostname":"web-5","subdomain":"b"`, liveMetadata: owner("StatefulSet"), freshMeta: owner("StatefulSet")},
		"a Job's":                 {live: `"hostname":"web-0"`, fresh: `"hostname":"web-1"`, liveMetadata: owner("Job"), freshMeta: owner("Job")},
		"a subdomain":             {live: `"subdomain":"web"`, want: []string{"subdomain"}},
		"no service links":        {live: `"enableServiceLinks":true`, fresh: `"enableServiceLinks":false`, want: []string{"enableServiceLinks"}},
		"service links":           {live: `"enableServiceLinks":true`},
		"the account default":     {live: `"serviceAccountName":"default","serviceAccount":"default"`},
		"an account of a webhook": {live: `"serviceAccountName":"default"`, fresh: `"serviceAccountName":"mesh"`, want: []string{"serviceAccountName"}},
		"dns":                     {fresh: `"dnsPolicy":"None","dnsConfig":{"nameservers":["10.0.0.1"]}`, want: []string{"dnsConfig.nameservers", "dnsPolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			template := fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app"}]%s}}`, map[bool]string{true: "," + test.template}[test.template != ""])
			in := Input{
				Live: parse(t, placedPod(t, test.live, test.liveMetadata)), Fresh: parse(t, placedPod(t, test.fresh, test.freshMeta)),
				Template: parse(t, template), Evidence: test.evidence,
			}
			v, err := Judge(in)
			if err != nil {
				t.Fatal(err)
			}
			state := InSync
			if len(test.want) > 0 {
				state = Drifted
			}
			if v.State != state {
				t.Errorf("state %s, want %s", v.State, state)
			}
			for what, of := range map[string]struct {
				got  []Change
				want []string
			}{"changes": {v.Changes, test.want}, "undecided": {v.Undecided, test.undecided}} {
				var places []string
				for _, c := range of.got {
					if c.Part != "pod" {
						t.Errorf("%s: part %s", what, c.Part)
					}
					places = append(places, c.Path)
				}
				slices.Sort(of.want)
				if diff := cmp.Diff(of.want, places); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			live, err := DigestOf(in.Live)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := DigestOf(in.Fresh)
			if err != nil {
				t.Fatal(err)
			}
			if live == fresh && len(v.Changes)+len(v.Undecided) > 0 {
				t.Error("the digests are equal, and the Pods differ")
			}
		})
	}
}

// TestPlacementOfLists: what is shown of a list without keys is what is not explained.
func TestPlacementOfLists(t *testing.T) {
	v := judge(t, documents{
		Live:  placedPod(t, `"tolerations":[{"key":"a","operator":"Exists"},{"key":"b","operator":"Exists"},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute"}]`, ""),
		Fresh: placedPod(t, `"tolerations":[{"key":"a","operator":"Exists"},{"key":"c","operator":"Exists"}]`, ""),
	})
	want := []Change{{
		Part: "pod", Path: "tolerations",
		From: json.RawMessage(`[{"key":"b","operator":"Exists"}]`), To: json.RawMessage(`[{"key":"c","operator":"Exists"}]`),
	}}
	if diff := cmp.Diff(want, v.Changes); diff != "" {
		t.Error(diff)
	}
}

// TestPlacementWithoutTemplate: what the creator holds was submitted.
func TestPlacementWithoutTemplate(t *testing.T) {
	const managed = `"managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{}}},"f:priorityClassName":{}%s}}}]`
	pod := func(spec, more string) []byte { return placedPod(t, spec, fmt.Sprintf(managed, more)) }
	const pulled = `,"f:imagePullSecrets":{".":{},"k:{\"name\":\"own\"}":{}}`
	v := judge(t, documents{
		Live:  pod(`"priorityClassName":"a","imagePullSecrets":[{"name":"own"}]`, pulled),
		Fresh: pod(`"priorityClassName":"b","imagePullSecrets":[{"name":"own"},{"name":"mesh"}]`, pulled),
	})
	if diff := cmp.Diff([]string{"pod imagePullSecrets[mesh]", "pod priorityClassName"}, paths(v)); diff != "" {
		t.Error(diff)
	}
	// What went from the live Pod was not submitted either.
	v = judge(t, documents{
		Live:  pod(`"imagePullSecrets":[{"name":"own"},{"name":"mesh"}]`, pulled),
		Fresh: pod(`"imagePullSecrets":[{"name":"own"}]`, pulled),
	})
	if diff := cmp.Diff([]string{"pod imagePullSecrets[mesh]"}, paths(v)); diff != "" {
		t.Error(diff)
	}
}

// TestPlacementOfManyItems must not take time that grows with their square.
func TestPlacementOfManyItems(t *testing.T) {
	many := func(first int) []byte {
		tolerations := []any{}
		for i := range 20000 {
			tolerations = append(tolerations, map[string]any{"key": fmt.Sprint(first + i), "operator": "Exists"})
		}
		return placedPod(t, `"tolerations":`+string(podtest.JSON(t, tolerations)), "")
	}
	if v := judge(t, documents{Live: many(0), Fresh: many(10000)}); len(v.Changes) != 1 {
		t.Errorf("%d changes", len(v.Changes))
	}
}
