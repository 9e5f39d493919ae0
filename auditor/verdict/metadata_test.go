package verdict

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// annotatedPod is a Pod with a sidecar, with annotations, and with who holds which of them:
// its creator, and somebody later.
func annotatedPod(name, annotations, creator, later string) []byte {
	fields := func(keys string) string {
		var list []string
		for key := range strings.FieldsSeq(keys) {
			list = append(list, fmt.Sprintf(`"f:%s":{}`, key))
		}
		return `"f:metadata":{"f:annotations":{` + strings.Join(list, ",") + `}}`
	}
	return fmt.Appendf(nil, `{"metadata":{"name":%q,"labels":{"app":"web"},"annotations":{%s},"managedFields":[
		{"manager":"controller","operation":"Update","fieldsV1":{%s,"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{}}}}}},
		{"manager":"agent","operation":"Update","fieldsV1":{%s}}]},
		"spec":{"containers":[{"name":"app"},{"name":"proxy"}]}}`, name, annotations, fields(creator), fields(later))
}

// TestMetadata: which annotations count, which are shown, and which are neither.
func TestMetadata(t *testing.T) {
	const kuma, networks = "traffic.kuma.io/transparent-proxy-config", "k8s.v1.cni.cncf.io/networks"
	for name, test := range map[string]struct {
		live, fresh           string
		creator, later        string // keys that they hold in the live Pod
		status                string // keys that were written by its status
		submitted             string // keys that were submitted for the fresh Pod
		template              string
		counts, shown, ignore string
	}{
		"equal":                           {live: `"` + kuma + `":"a"`, fresh: `"` + kuma + `":"a"`},
		"known to configure, another one": {live: `"` + kuma + `":"a"`, fresh: `"` + kuma + `":"b"`, counts: kuma},
		"known to configure, it comes":    {fresh: `"` + kuma + `":"b"`, counts: kuma},
		"known to configure, it goes":     {live: `"` + kuma + `":"a"`, counts: kuma},
		"ignored":                         {live: `"` + kuma + `":"a"`, ignore: "metadata:annotations[" + kuma + "]"},
		"all metadata ignored":            {live: `"` + kuma + `":"a"`, ignore: "metadata"},
		"asked for":                       {live: `"example.com/redirect":"a"`, fresh: `"example.com/redirect":"b"`, counts: "example.com/redirect"},
		"a person's on the live Pod":      {live: `"` + kuma + `":"a"`, later: kuma},
		"a person's in its place":         {live: `"` + kuma + `":"a"`, fresh: `"` + kuma + `":"b"`, creator: kuma, later: kuma, submitted: kuma},
		"the template's, rewritten": {
			live: `"` + networks + `":"own"`, fresh: `"` + networks + `":"own,istio-cni"`, creator: networks, submitted: networks, template: `"` + networks + `":"own"`,
			counts: networks,
		},
		"the template's, and somebody deleted it": {fresh: `"` + kuma + `":"a"`, submitted: kuma, template: `"` + kuma + `":"a"`},
		"a preview's":                   {fresh: `"` + kuma + `":"a"`, submitted: kuma},
		"the Pod's own name":            {live: `"` + kuma + `":"of web-live"`, fresh: `"` + kuma + `":"of web-fresh"`},
		"JSON, written differently":     {live: `"` + networks + `":"[{\"name\":\"a\", \"ips\":[1]}]"`, fresh: `"` + networks + `":"[{\"ips\":[1],\"name\":\"a\"}]"`},
		"JSON, another order of a list": {live: `"` + networks + `":"[1,2]"`, fresh: `"` + networks + `":"[2,1]"`, counts: networks},
		"a hash":                        {live: `"mesh.test/hash":"1"`, fresh: `"mesh.test/hash":"2"`, shown: "annotations[mesh.test/hash]"},
		"a status that comes":           {fresh: `"mesh.test/status":"1"`, shown: "annotations[mesh.test/status]"},
		"a CNI agent's status":          {live: `"k8s.v1.cni.cncf.io/network-status":"[]"`, later: "k8s.v1.cni.cncf.io/network-status"},
		"a CNI plugin's, by the status": {live: `"example.com/redirect":"a"`, status: "example.com/redirect"},
		"ambient's redirection":         {live: `"ambient.istio.io/redirection":"enabled"`, later: "ambient.istio.io/redirection"},
		"what the creator wrote":        {live: `"a":"1"`, fresh: `"a":"2"`, creator: "a", submitted: "a"},
		"what the template has":         {live: `"a":"1"`, fresh: `"a":"2"`, template: `"a":"1"`},
		"the stamp":                     {live: `"sidecar-drift.io/stamp":"1"`, fresh: `"sidecar-drift.io/stamp":"2"`},
		"one that only begins like it":  {live: `"consul.hashicorp.com/redirect-traffic-config-x":"1"`, shown: "annotations[consul.hashicorp.com/redirect-traffic-config-x]"},
		"one of a family":               {live: `"traffic.sidecar.istio.io/includeInboundPorts":"*"`, counts: "traffic.sidecar.istio.io/includeInboundPorts"},
	} {
		t.Run(name, func(t *testing.T) {
			live := annotatedPod("web-live", test.live, test.creator, test.later)
			if test.status != "" {
				live = bytes.Replace(annotatedPod("web-live", test.live, test.creator, test.status), []byte(`"manager":"agent"`), []byte(`"manager":"agent","subresource":"status"`), 1)
			}
			in := Input{
				Live:        parse(t, live),
				Fresh:       parse(t, annotatedPod("web-fresh", test.fresh, test.submitted, "")),
				Template:    parse(t, fmt.Appendf(nil, `{"metadata":{"labels":{"app":"web"},"annotations":{%s}},"spec":{"containers":[{"name":"app"}]}}`, test.template)),
				Annotations: []string{"example.com/redirect"},
			}
			if test.ignore != "" {
				pattern, err := ParsePathPattern(test.ignore)
				if err != nil {
					t.Fatal(err)
				}
				in.Ignore = []PathPattern{pattern}
			}
			v, err := Judge(in)
			if err != nil {
				t.Fatal(err)
			}
			want, state := []string{}, InSync
			if test.counts != "" {
				want, state = []string{"metadata annotations[" + test.counts + "]"}, Drifted
			}
			if diff := cmp.Diff(want, paths(v)); diff != "" || v.State != state {
				t.Errorf("%s, counted: %s", v.State, diff)
			}
			shown, more := MetadataOf(in)
			if diff := cmp.Diff(v.Metadata, shown); diff != "" || more != 0 {
				t.Errorf("MetadataOf and Judge: %d more, %s", more, diff)
			}
			var besides []string
			for _, c := range v.Metadata {
				besides = append(besides, c.Path)
			}
			if got := strings.Join(besides, " "); got != test.shown {
				t.Errorf("shown %q, want %q", got, test.shown)
			}
			ofLive, err := DigestOf(in.Live, in.Annotations...)
			if err != nil {
				t.Fatal(err)
			}
			ofFresh, err := DigestOf(in.Fresh, in.Annotations...)
			if err != nil {
				t.Fatal(err)
			}
			if ofLive == ofFresh && test.counts != "" {
				t.Error("the digests are equal")
			}
			if ofLive != ofFresh && test.live == test.fresh {
				t.Error("the digests of equal Pods are not")
			}
		})
	}
}

// TestMetadataAlone: without a sidecar nothing is to be restarted.
func TestMetadataAlone(t *testing.T) {
	pod := func(ports string) jsontree.Node {
		return parse(t, fmt.Appendf(nil, `{"metadata":{"annotations":{"traffic.kuma.io/exclude-inbound-ports":%q}},"spec":{"containers":[{"name":"app"}]}}`, ports))
	}
	v, err := Judge(Input{Live: pod("1"), Fresh: pod("2"), Template: parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))})
	if err != nil {
		t.Fatal(err)
	}
	if v.State != Mutated || len(v.Changes) != 1 {
		t.Errorf("%s, %v", v.State, v.Changes)
	}
}

// TestMetadataIsBounded: whoever may create Pods writes as many labels as he likes.
func TestMetadataIsBounded(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`"mesh.test/a%d":%q`, i, strings.Repeat("x", i%300)))
	}
	in := Input{Live: parse(t, annotatedPod("web", strings.Join(many, ","), "", "")), Fresh: parse(t, annotatedPod("web", "", "", ""))}
	v, err := Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Metadata) == 0 || len(v.Metadata) > maxMetadata || SizeOf(v.Metadata) > maxMetadataSize || len(v.Metadata)+v.MoreMetadata != 5000 {
		t.Errorf("%d of %d bytes, and %d more", len(v.Metadata), SizeOf(v.Metadata), v.MoreMetadata)
	}
	if v.State != InSync || len(v.Changes) > 0 {
		t.Errorf("%s, %v", v.State, v.Changes)
	}
}

func TestCheckAnnotation(t *testing.T) {
	for key, wrong := range map[string]bool{
		"example.com/redirect-ports": false, "redirect": false, "Traffic.Example.com/Ports_1": false,
		"": true, "a=b": true, "a b": true, "/a": true, "a/b/c": true, "sidecar-drift.io/stamp": true, strings.Repeat("a", 300): true, "a[b]": true,
	} {
		if err := CheckAnnotation(key); (err != nil) != wrong {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// TestConfiguring: each key is one, and none is there twice.
func TestConfiguring(t *testing.T) {
	seen := map[string]bool{}
	for _, known := range Configuring() {
		key := strings.TrimSuffix(known, "*")
		if err := CheckAnnotation(key + strings.Repeat("x", len(known)-len(key))); err != nil {
			t.Errorf("%s: %v", known, err)
		}
		if seen[known] {
			t.Errorf("%s is there twice", known)
		}
		seen[known] = true
		if !configures([]byte(key+"x"), nil) && strings.HasSuffix(known, "*") || !configures([]byte(key), nil) {
			t.Errorf("%s does not configure", known)
		}
	}
}
