package change_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// differs is a difference; an empty side is none.
func differs(part, path, from, to string) verdict.Change {
	raw := func(text string) json.RawMessage {
		if text == "" {
			return nil
		}
		return json.RawMessage(text)
	}
	return verdict.Change{Part: part, Path: path, From: raw(from), To: raw(to)}
}

var (
	image     = differs("container/istio-proxy", "image", `"istio/proxyv2:1.28.0"`, `"istio/proxyv2:1.29.0"`)
	initImage = differs("initContainer/istio-init", "image", `"istio/proxyv2:1.28.0"`, `"istio/proxyv2:1.29.0"`)
	cpu       = differs("container/istio-proxy", "resources.requests.cpu", `"150m"`, `"200m"`)
	port      = differs("container/istio-proxy", "ports[15021]", "", `{"containerPort":15021}`)
)

// workload has one revision of two Pods.
func workload(namespace, name string, changes ...verdict.Change) change.Workload {
	return change.Workload{Namespace: namespace, Name: name, Revisions: []change.Revision{{Pods: 2, Changes: changes, Sidecars: []string{"istio-proxy", "istio-init"}}}}
}

// said is all that a person is told of changes.
func said(g change.Grouping) []string {
	var all []string
	for _, c := range g.Changes {
		all = append(all, fmt.Sprintf("%s | %s, %s: %s | %d workloads, %d Pods, %d namespaces", c.Summary(), c.Kind, c.Risk, c.Reason, c.Workloads, c.Pods, c.Namespaces))
	}
	return all
}

// native is a workload whose proxy becomes a native sidecar.
func native(name, was, is string) change.Workload {
	return workload("a", name,
		differs("container/istio-proxy", "", `{"name":"istio-proxy",`+was+`}`, ""),
		differs("initContainer/istio-proxy", "", "", `{"name":"istio-proxy","restartPolicy":"Always",`+is+`}`))
}

func TestGroup(t *testing.T) {
	appEnv := func(container, value string) verdict.Change {
		return differs("app/"+container, "env[MESH].value", `"old"`, value)
	}
	for name, test := range map[string]struct {
		workloads []change.Workload
		want      []string
	}{
		"nothing": {nil, nil},
		"what all have, and a port that some have": {
			[]change.Workload{workload("a", "web", image, cpu), workload("a", "api", image, cpu, port), workload("b", "db", cpu, image)},
			[]string{
				"istio-proxy image 1.28.0 → 1.29.0, cpu 150m → 200m | image, version: another minor version | 3 workloads, 6 Pods, 2 namespaces",
				"istio-proxy ports[15021] added | network, behaviour: ports | 1 workloads, 2 Pods, 1 namespaces",
			},
		},
		"one of which has a CPU of its own": {
			[]change.Workload{workload("a", "web", image, cpu), workload("a", "api", image, cpu), workload("a", "own", image)},
			[]string{
				"istio-proxy image 1.28.0 → 1.29.0 | image, version: another minor version | 3 workloads, 6 Pods, 1 namespaces",
				"istio-proxy cpu 150m → 200m | resources, tuning: CPU and memory | 2 workloads, 4 Pods, 1 namespaces",
			},
		},
		"an image of several containers, which not all have": {
			[]change.Workload{workload("a", "web", image, initImage), workload("a", "cni", image)},
			[]string{"istio-proxy image 1.28.0 → 1.29.0 | image, version: another minor version | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"their own names": {
			[]change.Workload{
				workload("shop", "web", appEnv("web", `"web.shop.svc"`)),
				workload("pay", "ledger", appEnv("app", `"ledger.pay.svc"`)),
				workload("default", "third", appEnv("third", `"third.default.svc"`)),
			},
			[]string{"app env[MESH].value old → {name}.{namespace}.svc | env, behaviour: a variable | 3 workloads, 6 Pods, 3 namespaces"},
		},
		"a name that is part of a word, or of an injected image": {
			[]change.Workload{workload("istio", "proxy", image), workload("a", "web", image)},
			[]string{"istio-proxy image 1.28.0 → 1.29.0 | image, version: another minor version | 2 workloads, 4 Pods, 2 namespaces"},
		},
		"a name that is a field's": {
			[]change.Workload{workload("requests", "cpu", cpu), workload("a", "web", cpu)},
			[]string{"istio-proxy cpu 150m → 200m | resources, tuning: CPU and memory | 2 workloads, 4 Pods, 2 namespaces"},
		},
		"a name that is a key's": {
			[]change.Workload{
				workload("a", "name", differs("app/x", "env[A]", "", `{"name":"A","value":"b"}`)),
				workload("a", "web", differs("app/x", "env[A]", "", `{"name":"A","value":"b"}`)),
			},
			[]string{"app env[A] added | env, behaviour: a variable | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"secrets": {
			[]change.Workload{
				workload("a", "web", differs("container/p", "env[API_TOKEN].value", `"hunter2-a"`, `"hunter3-a"`)),
				workload("a", "api", differs("container/p", "env[API_TOKEN].value", `"hunter2-b"`, `"hunter3-b"`)),
			},
			[]string{"p env[API_TOKEN].value changed | env, behaviour: a variable | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"a container that comes, with much of the workload's own in it": {
			[]change.Workload{
				workload("a", "web", differs("container/istio-proxy", "", "", `{"name":"istio-proxy","image":"proxyv2:1","env":[{"name":"PORTS","value":"80"}]}`)),
				workload("a", "api", differs("container/istio-proxy", "", "", `{"name":"istio-proxy","image":"proxyv2:1","env":[{"name":"PORTS","value":"90"}]}`)),
			},
			[]string{"istio-proxy added | containerAdded, behaviour: a container comes | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"a native sidecar": {
			[]change.Workload{workload("a", "web",
				differs("container/istio-proxy", "", `{"name":"istio-proxy","image":"proxyv2:1"}`, ""),
				differs("initContainer/istio-proxy", "", "", `{"name":"istio-proxy","image":"proxyv2:2","restartPolicy":"Always"}`))},
			[]string{"istio-proxy becomes a native sidecar, image 1 → 2 | containerAdded, behaviour: a container becomes a native sidecar | 1 workloads, 2 Pods, 1 namespaces"},
		},
		"a native sidecar, with what else of it differs": {
			[]change.Workload{
				native("web", `"args":["x"],"volumeMounts":[{"name":"kube-api-access-x1","mountPath":"/t"}]`,
					`"args":["web.a"],"volumeMounts":[{"name":"kube-api-access-y2","mountPath":"/t"}],"securityContext":{"privileged":true}`),
				native("api", `"args":["x"],"volumeMounts":[{"name":"kube-api-access-x3","mountPath":"/t"}]`,
					`"args":["api.a"],"volumeMounts":[{"name":"kube-api-access-y4","mountPath":"/t"}],"securityContext":{"privileged":true}`),
			},
			[]string{"istio-proxy becomes a native sidecar, args[0] x → {name}.a, securityContext added | security, behaviour: the security context | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"the order, without names of the app's containers": {
			[]change.Workload{
				workload("a", "web", differs("order", "", `["web","istio-proxy"]`, `["istio-proxy","web"]`)),
				workload("a", "api", differs("order", "", `["x","y","istio-proxy"]`, `["istio-proxy","x","y"]`)),
			},
			[]string{"order changed | order, behaviour: the order of containers | 2 workloads, 4 Pods, 1 namespaces"},
		},
		"what varies from one injection to the next": {
			[]change.Workload{workload("a", "web", verdict.Change{Part: "container/p", Path: "env[NONCE].value", Unstable: true})}, nil,
		},
		"what is not known whole parts nothing": {
			[]change.Workload{
				workload("a", "web", image, cpu), workload("a", "api", image, cpu),
				{Namespace: "a", Name: "big", Revisions: []change.Revision{{Pods: 1, Changes: []verdict.Change{image, port}, More: 3}}},
			},
			[]string{
				"istio-proxy image 1.28.0 → 1.29.0, cpu 150m → 200m | image, version: another minor version | 3 workloads, 5 Pods, 1 namespaces",
				"istio-proxy ports[15021] added | network, behaviour: ports | 1 workloads, 1 Pods, 1 namespaces",
			},
		},
		"what differs inside of a value": {
			[]change.Workload{
				workload("a", "web", differs("container/p", "env[CONFIG].value", `"{\"own\":\"of web alone\",\"sampling\":1}"`, `"{\"own\":\"of web alone\",\"sampling\":2}"`)),
				workload("a", "api", differs("container/p", "env[CONFIG].value", `"{\"own\":\"and of the api\",\"sampling\":1}"`, `"{\"own\":\"and of the api\",\"sampling\":2}"`)),
			},
			[]string{"p env[CONFIG].value → sampling 1 → 2 | env, behaviour: a variable | 2 workloads, 4 Pods, 1 namespaces"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, said(change.Group(test.workloads))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Each difference says which change it is part of.
func TestGroupingOf(t *testing.T) {
	nonce := verdict.Change{Part: "container/p", Path: "env[NONCE].value", Unstable: true}
	g := change.Group([]change.Workload{workload("a", "web", image, nonce, cpu), workload("a", "api", image, cpu, port)})
	got := [][]int{{g.Of(0, 0, 0), g.Of(0, 0, 1), g.Of(0, 0, 2)}, {g.Of(1, 0, 0), g.Of(1, 0, 1), g.Of(1, 0, 2)}}
	if diff := cmp.Diff([][]int{{0, -1, 0}, {0, 0, 1}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An ID is of the content: it is the same whoever else was audited, and another one where
// anything differs.
func TestIDs(t *testing.T) {
	id := func(workloads ...change.Workload) string { return change.Group(workloads).Changes[0].ID.String() }
	all := id(workload("a", "web", image, cpu), workload("b", "api", image, cpu))
	if one := id(workload("c", "other", cpu, image)); one != all {
		t.Errorf("%s of two, %s of another one", all, one)
	}
	for name, other := range map[string]string{
		"less": id(workload("a", "web", image)), "more": id(workload("a", "web", image, cpu, port)),
		"another value": id(workload("a", "web", image, differs("container/istio-proxy", "resources.requests.cpu", `"150m"`, `"300m"`))),
		"another part":  id(workload("a", "web", image, differs("container/other", "resources.requests.cpu", `"150m"`, `"200m"`))),
	} {
		if other == all {
			t.Errorf("%s has the ID of the whole, %s", name, all)
		}
	}
	parsed, err := change.ParseID(all)
	if err != nil || parsed.String() != all {
		t.Errorf("ParseID(%q) = %v, %v", all, parsed, err)
	}
	for _, text := range []string{"", "#1", "xyz", all + "0", strings.Repeat("g", 10), "+123456789"} {
		if _, err := change.ParseID(text); err == nil {
			t.Errorf("ParseID(%q) is no error", text)
		}
	}
}

// Two images were found whose changes have the same ID. They are one change, so that a report
// has an ID once, and says of both whom they reach.
func TestOneChangeOfEachID(t *testing.T) {
	to := func(i int) verdict.Change {
		return differs("container/proxy", "image", fmt.Sprintf(`"istio/proxyv2:n%d"`, i), `"istio/proxyv2:1.29.0"`)
	}
	one, other := workload("a", "web", to(2502535)), workload("b", "api", to(650212))
	if a, b := change.Group([]change.Workload{one}).Changes[0].ID, change.Group([]change.Workload{other}).Changes[0].ID; a != b {
		t.Fatalf("%s and %s: look for two others", a, b)
	}
	g := change.Group([]change.Workload{one, other, workload("b", "both", to(2502535), to(650212))})
	if len(g.Changes) != 1 {
		t.Fatalf("%q", said(g))
	}
	if c := g.Changes[0]; c.Workloads != 3 || c.Pods != 6 || c.Namespaces != 2 || len(c.Places) != 2 || len(c.Parts) != 1 || c.Parts[0] != c.ID {
		t.Errorf("%+v", c)
	}
	if first, second := g.Of(0, 0, 0), g.Of(1, 0, 0); first != 0 || second != 0 {
		t.Errorf("%d and %d", first, second)
	}
}

// What was named among all workloads covers each that has nothing else, alone and among
// few.
func TestNamedCovers(t *testing.T) {
	plain, more := workload("a", "web", image, cpu), workload("b", "api", image, cpu, port)
	g := change.Group([]change.Workload{plain, more})
	wide, narrow := g.Changes[0].ID, g.Changes[1].ID
	unknown := workload("a", "big", image, cpu)
	unknown.Revisions[0].More = 1
	for name, test := range map[string]struct {
		named []change.ID
		of    change.Workload
		want  bool
	}{
		"all of it":              {[]change.ID{wide}, plain, true},
		"and another one":        {[]change.ID{narrow, wide}, plain, true},
		"one of two":             {[]change.ID{wide}, more, false},
		"the other of two":       {[]change.ID{narrow}, more, false},
		"both":                   {[]change.ID{narrow, wide}, more, true},
		"both by another name":   {[]change.ID{change.Group([]change.Workload{more}).Changes[0].ID}, more, true},
		"nothing named":          {nil, plain, false},
		"no difference is known": {[]change.ID{wide}, workload("a", "x"), false},
		"not known whole":        {[]change.ID{wide}, unknown, false},
		"something is unstable":  {[]change.ID{wide}, workload("a", "web", image, cpu, verdict.Change{Part: "container/istio-proxy", Path: "env[NONCE].value", Unstable: true}), false},
	} {
		if got := change.Name(test.named...).Covers(test.of); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// A native sidecar that may do more is another change than one that may not.
func TestNativeSidecarsByWhatTheyMayDo(t *testing.T) {
	of := func(was, is string) change.Change {
		return change.Group([]change.Workload{native("web", `"image":"p:1"`+was, `"image":"p:1"`+is)}).Changes[0]
	}
	plain := of("", "")
	for name, other := range map[string]change.Change{
		"privileged": of("", `,"securityContext":{"privileged":true}`),
		"arguments":  of(`,"args":["a"]`, `,"args":["a","--insecure"]`),
		"a secret":   of(`,"env":[{"name":"API_TOKEN","value":"hunter2-a4x8"}]`, `,"env":[{"name":"API_TOKEN","value":"hunter3-b5y9"}]`),
	} {
		if other.ID == plain.ID || len(other.Places) != 2 {
			t.Errorf("%s: %s, plain: %s; places %v", name, other.ID, plain.ID, other.Places)
		}
	}
	if moved := of(`,"args":["a"]`, `,"args":["a"]`); moved.ID != plain.ID {
		t.Errorf("%s: %s", moved.ID, moved.Summary())
	}
}
