package candidate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answered is a dry run's answer about the submitted Pod below: an injector has added a
// container and a variable, and has rewritten the app's image; in-tree plugins have set what
// they set.
const answered = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-x2x4z","generateName":"web-","namespace":"shop","uid":"1",
	"annotations":{"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu request for container app","injected":"yes"},
	"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{
		"f:metadata":{"f:generateName":{}},
		"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{},"f:image":{},"f:imagePullPolicy":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},
			"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},
			"f:dnsPolicy":{},"f:restartPolicy":{},"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:name":{},"f:configMap":{".":{},"f:defaultMode":{},"f:name":{}}}}}}}]},
	"spec":{"containers":[
		{"name":"app","image":"mirror/app:1","imagePullPolicy":"IfNotPresent","env":[{"name":"A","value":"a"},{"name":"INJECTED","value":"yes"}],
			"resources":{"limits":{"cpu":"500m"},"requests":{"cpu":"100m"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
			"volumeMounts":[{"name":"kube-api-access-x7x7x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]},
		{"name":"proxy","image":"proxy:1"}],
		"volumes":[{"name":"injected","emptyDir":{}},{"name":"config","configMap":{"name":"config","defaultMode":420}},{"name":"kube-api-access-x7x7x","projected":{}}],
		"dnsPolicy":"ClusterFirst","restartPolicy":"Always","serviceAccountName":"default","priority":0,"securityContext":{"fsGroup":1337},
		"tolerations":[{"key":"node.kubernetes.io/not-ready"},{"key":"injected"}]},
	"status":{"phase":"Pending"}}`

func TestGiven(t *testing.T) {
	submitted := objectOf(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","namespace":"shop","labels":{"app":"web"}},
		"spec":{"containers":[{"name":"app","image":"app:1","env":[{"name":"A","value":"a"}],"resources":{"limits":{"cpu":0.5}}}],"volumes":[{"name":"config","configMap":{"name":"config"}}]}}`)
	got, err := given(submitted, objectOf(t, answered), []byte(answered))
	if err != nil {
		t.Fatal(err)
	}
	want := objectOf(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","namespace":"shop","labels":{"app":"web"},
			"annotations":{"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu request for container app"}},
		"spec":{"containers":[{"name":"app","image":"app:1","imagePullPolicy":"IfNotPresent","env":[{"name":"A","value":"a"}],
			"resources":{"limits":{"cpu":"500m"},"requests":{"cpu":"100m"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
			"volumeMounts":[{"name":"kube-api-access-x7x7x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}],
			"volumes":[{"name":"config","configMap":{"name":"config","defaultMode":420}},{"name":"kube-api-access-x7x7x","projected":{}}],
			"dnsPolicy":"ClusterFirst","restartPolicy":"Always","serviceAccountName":"default","priority":0,"securityContext":{},
			"tolerations":[{"key":"node.kubernetes.io/not-ready"}]},
		"status":{}}`)
	want["metadata"].(object)["managedFields"] = child(objectOf(t, answered), "metadata")["managedFields"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGrafted(t *testing.T) {
	pod := objectOf(t, `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`)
	answer := objectOf(t, `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"app:1","env":[{"name":"P","value":"1"}]},{"name":"proxy","image":"proxy:1"}]}}`)
	for name, test := range map[string]struct{ fresh, want string }{
		"nothing else": {
			`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"app:1","env":[{"name":"P","value":"1"}]},{"name":"proxy","image":"proxy:1"}]}}`,
			`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`,
		},
		"a container before, a volume, a label": {
			`{"metadata":{"labels":{"app":"web","by":"another"}},"spec":{"volumes":[{"name":"v"}],"containers":[{"name":"other"},{"name":"app","image":"app:1","env":[{"name":"P","value":"1"}]},{"name":"proxy","image":"proxy:1"}]}}`,
			`{"metadata":{"labels":{"app":"web","by":"another"}},"spec":{"volumes":[{"name":"v"}],"containers":[{"name":"other"},{"name":"app","image":"app:1"}]}}`,
		},
		"a rewritten image, and one of the answer's own": {
			`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"mirror/app:1","env":[{"name":"P","value":"1"}]},{"name":"proxy","image":"mirror/proxy:1"}]}}`,
			`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"mirror/app:1"}]}}`,
		},
	} {
		if diff := cmp.Diff(objectOf(t, test.want), grafted(pod, answer, objectOf(t, test.fresh))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEncodeStored(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":{"containers":[{"image":"a","name":"b","resources":{"limits":{"cpu":"0.5"}}}]},"metadata":{},"kind":"Pod","apiVersion":"v1"}`: `{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":[{"name":"b","image":"a","resources":{"limits":{"cpu":"500m"}}}]},"status":{}}`,
		`{"spec":{"containers":[{"image":"a","name":"b","aFieldOfTheFuture":1}]},"metadata":{},"kind":"Pod","apiVersion":"v1"}`:                `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"aFieldOfTheFuture":1,"image":"a","name":"b"}]}}`,
	} {
		got, err := encodeStored(objectOf(t, text))
		if err != nil || string(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
	}
}
