package rollout

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// What the old Pods have is not certain of fresh ones where these differ in it.
func TestDiffering(t *testing.T) {
	const ports, claims, placement = "ports", "claims", "placement"
	for name, test := range map[string]struct{ part, path, from, to, want string }{
		"a port":                       {"container/proxy", "ports[8080/TCP].hostPort", `8080`, `9090`, ports},
		"a port that comes":            {"container/proxy", "ports[8080/TCP]", ``, `{"hostPort":8080}`, ""},
		"the ports":                    {"app/web", "ports", `[]`, ``, ports},
		"a native sidecar's port":      {"initContainer/proxy", "ports[53/UDP]", `{}`, ``, ports},
		"a native sidecar no more":     {"initContainer/proxy", "restartPolicy", `"Always"`, ``, ports},
		"a container with a port":      {"container/proxy", "", `{"ports":[{"hostPort":80}]}`, ``, ports},
		"a container that comes":       {"container/proxy", "", ``, `{"ports":[{"hostPort":80}]}`, ""},
		"a container of the Pod's":     {"container/proxy", "", `{"ports":[{"containerPort":80}]}`, ``, ""},
		"a container that is cut":      {"container/proxy", "", `"{… (9000 bytes, sha256 0123456789abcdef)"`, ``, ports},
		"an image":                     {"container/proxy", "image", `"a"`, `"b"`, ""},
		"a volume":                     {"volumes", "[certs]", `{"emptyDir":{}}`, ``, ""},
		"a claim":                      {"volumes", "[data]", `{"persistentVolumeClaim":{"claimName":"a"}}`, ``, claims},
		"a claim that comes":           {"volumes", "[data]", ``, `{"persistentVolumeClaim":{"claimName":"a"}}`, ""},
		"another claim":                {"volumes", "[data].persistentVolumeClaim.claimName", `"a"`, `"b"`, claims},
		"affinity":                     {"pod", "affinity.podAntiAffinity", `{}`, ``, placement},
		"a toleration that comes":      {"pod", "tolerations", ``, `[]`, placement},
		"the node's network":           {"pod", "hostNetwork", `true`, ``, ports},
		"another field of the Pod":     {"pod", "securityContext.fsGroup", `1`, `2`, ""},
		"a field that begins like one": {"pod", "affinityOf", `1`, `2`, ""},
	} {
		change := verdict.Change{Part: test.part, Path: test.path}
		if test.from != "" {
			change.From = json.RawMessage(test.from)
		}
		if test.to != "" {
			change.To = json.RawMessage(test.to)
		}
		item := report.Item{Revisions: []report.Revision{{}, {Changes: []verdict.Change{{Part: "container/proxy", Path: "image"}, change}}}}
		want := differing{}
		switch place := change.Place(); test.want {
		case ports:
			want.ports = place
		case claims:
			want.claims = place
		case placement:
			want.placement = place
		}
		if got := differingOf(item); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		item.Revisions[1].Changes[1].Unstable = true
		if got := differingOf(item); got != (differing{}) {
			t.Errorf("%s, which varies of itself: %+v", name, got)
		}
	}
	if got := differingOf(report.Item{Revisions: []report.Revision{{MoreChanges: 1}}}); got.ports == "" || got.claims == "" || got.placement == "" {
		t.Errorf("what the audit has not kept may be any: %+v", got)
	}
}

func TestBesideDiffering(t *testing.T) {
	var port, apart, claimed corev1.PodSpec
	withPort(8080)(&port)
	apartBy(corev1.LabelHostname)(&apart)
	withClaim(&claimed)
	ports, claims, placement := differing{ports: "here"}, differing{claims: "here"}, differing{placement: "here"}
	for name, test := range map[string]struct {
		crowd
		matter, not []differing
	}{
		"a port":  {crowd{spec: &port}, []differing{ports, placement}, []differing{claims}},
		"apart":   {crowd{spec: &apart, labels: podLabels}, []differing{placement}, []differing{ports, claims}},
		"a claim": {crowd{spec: &claimed, claims: map[string]claim{"data": {onePod: true, oneNode: true}}}, []differing{claims}, []differing{ports, placement}},
	} {
		c := test.crowd
		c.nodes, c.onNodes = nodesInZones(1), []string{"node-0"}
		for _, c.differing = range append(test.not, differing{}) {
			if got := c.judge(); got.deadlock == "" || len(got.doubts) > 0 {
				t.Errorf("%s, and %+v: %+v", name, c.differing, got)
			}
		}
		for _, c.differing = range test.matter {
			if got := c.judge(); got.deadlock != "" || len(got.doubts) != 1 || !strings.Contains(got.doubts[0], "otherwise with fresh Pods, which differ (here)") {
				t.Errorf("%s, and %+v: %+v", name, c.differing, got)
			}
		}
	}
}

// Nodes are not read for what no node matters to: nothing could be read here.
func TestBesideWithoutNodes(t *testing.T) {
	var spec corev1.PodSpec
	withClaim(&spec)
	s := &surroundings{claims: map[types.NamespacedName]claim{{Namespace: "shop", Name: "data"}: {}}}
	got, err := s.judge(t.Context(), crowd{namespace: "shop", spec: &spec, onNodes: []string{"node-0"}})
	if err != nil || got.deadlock != "" || len(got.doubts) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
