package inputs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	fakemetadata "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/restmapper"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// partial is an object's metadata, whose fields a manager has written.
func partial(version, kind, namespace, name, fields string) *metav1.PartialObjectMetadata {
	at := metav1.NewTime(time.Now().Add(-time.Hour))
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(kind + name), ResourceVersion: "1",
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m", Operation: "Update", APIVersion: version, Time: &at, FieldsV1: metav1.NewFieldsV1(fields)}},
		},
	}
}

// lookingAt is a Reader of an injector whose Pod mounts a ConfigMap.
func lookingAt(t *testing.T, objects ...*metav1.PartialObjectMetadata) (*Reader, *fake.Clientset) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: "injector", Labels: map[string]string{"app": "injector"}},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "template"}},
		}}}},
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: "injector"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "injector"}}}
	client := fake.NewClientset(configuration("own", "own.example.com", "pods", inService("own")), service, pod)
	client.Discovery().(*fakediscovery.FakeDiscovery).Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list"}}, {Name: "limitranges", Kind: "LimitRange", Namespaced: true, Verbs: metav1.Verbs{"list"}},
	}}}
	scheme := fakemetadata.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	all := fakemetadata.NewSimpleMetadataClient(scheme)
	for _, o := range objects {
		if err := all.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return &Reader{client: client, metadata: all, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())), now: time.Now, rules: map[string]knownRules{}, discovery: func() ([]served, error) { return nil, nil }}, client
}

// What an injector mounts is not taken for deleted while it does not run.
func TestLookWhileTheInjectorIsAway(t *testing.T) {
	r, client := lookingAt(t, partial("v1", "ConfigMap", "own", "template", `{"f:data":{"f:template":{}}}`))
	var l cause.Ledger
	look := func() cause.Seen {
		seen, err := r.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Observe(seen)
		return seen
	}
	of := func(seen cause.Seen) bool {
		return slices.ContainsFunc(seen.Objects, func(o cause.Object) bool { return o.Kind == "ConfigMap" && o.Link == cause.Reads })
	}
	if first := look(); !of(first) {
		t.Fatalf("the ConfigMap is not looked at: %+v", first)
	}
	pods := client.CoreV1().Pods("own")
	pod, err := pods.Get(t.Context(), "injector", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(t.Context(), "injector", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second look after it, too
		look()
	}
	pod.ResourceVersion = ""
	pod.Spec.Volumes = nil // a new version goes by something else
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	last := look()
	c := cause.Change{After: last.At.Add(-time.Minute), By: last.At, Kind: "image", Parts: []string{"container/x"}, Paths: []string{"image"}}
	v := l.Judge(c)
	if slices.ContainsFunc(v.Writes, func(c cause.Write) bool { return c.What == cause.Deleted }) {
		t.Errorf("it is still there: %s", v.By)
	}
}

// An API that is away is not taken for one that is not there.
func TestLookWhileAnAPIIsAway(t *testing.T) {
	for name, away := range map[string]bool{"there is none": false, "it is away": true} {
		r, _ := lookingAt(t)
		r.discovery = func() ([]served, error) {
			if !away {
				return nil, nil
			}
			return nil, &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "own.example.com", Version: "v1"}: errors.New("away")}}
		}
		l := look{Reader: r, wants: map[want][]claim{}}
		l.want(schema.GroupResource{Group: "own.example.com", Resource: "agents"}, "", claim{injector: "own", take: all})
		l.list(t.Context())
		if said := len(l.seen.Unseen) == 1 && l.seen.Unseen[0].What == "agents.own.example.com (its API does not answer)"; said != away {
			t.Errorf("%s: %+v", name, l.seen.Unseen)
		}
	}
}

// Objects with very many fields, and very large ones, are not all read, and it is said that they
// are not.
func TestLookAtWhatFloods(t *testing.T) {
	long, most := strings.Repeat("x", 350), strings.Repeat("y", 256<<10)
	for name, test := range map[string]struct {
		objects int
		of      func(n int) *metav1.PartialObjectMetadata
	}{
		"fields": {200, func(n int) *metav1.PartialObjectMetadata {
			var fields []string
			for f := range 250 {
				fields = append(fields, fmt.Sprintf(`"f:%s%d":{}`, long, f))
			}
			return partial("v1", "LimitRange", "shop", fmt.Sprint("flood-", n), `{"f:spec":{`+strings.Join(fields, ",")+`}}`)
		}},
		"annotations": {mostRead/len(most) + 1, func(n int) *metav1.PartialObjectMetadata {
			o := partial("v1", "LimitRange", "shop", fmt.Sprint("flood-", n), `{"f:spec":{}}`)
			o.Annotations = map[string]string{"large": most}
			return o
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []*metav1.PartialObjectMetadata
			for n := range test.objects {
				objects = append(objects, test.of(n))
			}
			r, _ := lookingAt(t, objects...)
			seen, err := r.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			size := 0
			for _, o := range seen.Objects {
				size += o.Size()
			}
			if size > 2*mostText || slices.ContainsFunc(seen.Lists, func(name string) bool { return strings.HasPrefix(name, "limitranges") }) {
				t.Errorf("%d bytes of fields are kept, lists %v", size, seen.Lists)
			}
			if !slices.ContainsFunc(seen.Unseen, func(u cause.Unseen) bool { return u.What == "limitranges (there are too many)" }) {
				t.Errorf("not said: %+v", seen.Unseen)
			}
		})
	}
}
