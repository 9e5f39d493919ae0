package injector

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// one is the namespace shop with the annotation inject, and the claim data-db-0 in it.
type one struct {
	kubernetes.Interface
	typedcorev1.CoreV1Interface
	typedcorev1.NamespaceInterface
}

func (o one) CoreV1() typedcorev1.CoreV1Interface        { return o }
func (o one) Namespaces() typedcorev1.NamespaceInterface { return o }
func (o one) PersistentVolumeClaims(string) typedcorev1.PersistentVolumeClaimInterface {
	return oneClaim{}
}

func (o one) Get(context.Context, string, metav1.GetOptions) (*corev1.Namespace, error) {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"inject": "enabled"}}}, nil
}

type oneClaim struct {
	typedcorev1.PersistentVolumeClaimInterface
}

func (oneClaim) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.PersistentVolumeClaim, error) {
	if name != "data-db-0" {
		return nil, apierrors.NewNotFound(corev1.Resource("persistentvolumeclaims"), name)
	}
	return &corev1.PersistentVolumeClaim{}, nil
}

// answered is what comes of a review: whether the Pod is allowed, the message, and the
// patch.
type answered struct {
	Allowed bool
	Message string
	Patch   string
}

func review(t *testing.T, answer Answer, pod *corev1.Pod, user authenticationv1.UserInfo, dryRun bool) answered {
	t.Helper()
	object, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		Namespace: "shop", Object: runtime.RawExtension{Raw: object}, UserInfo: user, DryRun: &dryRun,
	}})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	(&Injector{client: one{}, answer: answer}).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/inject", bytes.NewReader(body)))
	var given admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &given); err != nil {
		t.Fatal(err)
	}
	a := answered{Allowed: given.Response.Allowed, Patch: string(given.Response.Patch)}
	if given.Response.Result != nil {
		a.Message = given.Response.Result.Message
	}
	return a
}

func TestHabits(t *testing.T) {
	marks := func(Request) []Operation { return []Operation{{Op: "test", Path: "/spec"}} }
	const mark = `[{"op":"test","path":"/spec"}]`
	somebody := authenticationv1.UserInfo{Username: "system:serviceaccount:shop:somebody"}
	controller := authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:replicaset-controller"}
	admin := authenticationv1.UserInfo{Username: "admin", Groups: []string{Admins}}
	annotated := func(value string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"inject": value}}}
	}
	claiming := func(claim string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v"}, {Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}}}
	}
	ordinal := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "db-7", Labels: map[string]string{"apps.kubernetes.io/pod-index": "8"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}},
	}
	two := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "app", Env: []corev1.EnvVar{{Name: "A", Value: "own"}}}, {Name: "other"},
	}}}
	for name, test := range map[string]struct {
		answer Answer
		pod    *corev1.Pod
		user   authenticationv1.UserInfo
		dryRun bool
		want   answered
	}{
		"a namespace's annotation":             {answer: WhereAnnotated("inject", "enabled", marks), want: answered{true, "", mark}},
		"a namespace's other annotation":       {answer: WhereAnnotated("other", "enabled", marks), want: answered{Allowed: true}},
		"a Pod's annotation says no":           {answer: WhereAnnotated("inject", "enabled", marks), pod: annotated("disabled"), want: answered{Allowed: true}},
		"a Pod's annotation says yes":          {answer: WhereAnnotated("inject", "yes", marks), pod: annotated("yes"), want: answered{true, "", mark}},
		"for controllers, a controller":        {answer: ForControllers(marks), user: controller, want: answered{true, "", mark}},
		"for controllers, an admin":            {answer: ForControllers(marks), user: admin, want: answered{true, "", mark}},
		"for controllers, somebody":            {answer: ForControllers(marks), user: somebody, want: answered{Allowed: true}},
		"by whom, an admin":                    {answer: ByWhom(Nothing, marks), user: admin, want: answered{Allowed: true}},
		"by whom, a controller":                {answer: ByWhom(Nothing, marks), user: controller, want: answered{true, "", mark}},
		"no dry runs, a dry run":               {answer: NotInDryRuns(marks), dryRun: true, want: answered{Allowed: true}},
		"no dry runs, a Pod":                   {answer: NotInDryRuns(marks), want: answered{true, "", mark}},
		"refuses":                              {answer: Refuses("not you"), want: answered{Message: "not you"}},
		"a claim that exists":                  {answer: ForClaims(ClaimNotFound, marks), pod: claiming("data-db-0"), want: answered{true, "", mark}},
		"a claim that does not exist, refused": {answer: ForClaims(ClaimNotFound, marks), pod: claiming("data-db-2"), want: answered{Message: `persistentvolumeclaims "data-db-2" not found`}},
		"a claim that does not exist, skipped": {answer: ForClaims(SkipsClaim, marks), pod: claiming("data-db-2"), want: answered{Allowed: true}},
		"an ordinal of the name": {
			answer: Ordinal(OrdinalVariable, OrdinalOfName), pod: ordinal,
			want: answered{true, "", `[{"op":"add","path":"/spec/containers/0/env","value":[{"name":"LWS_WORKER_INDEX","value":"7"}]}]`},
		},
		"an ordinal of a label": {
			answer: Ordinal("INDEX", OrdinalOfLabel), pod: ordinal,
			want: answered{true, "", `[{"op":"add","path":"/spec/containers/0/env","value":[{"name":"INDEX","value":"8"}]}]`},
		},
		"the first annotations": {
			answer: Annotates(map[string]string{"a/b": "1"}), want: answered{true, "", `[{"op":"add","path":"/metadata/annotations","value":{"a/b":"1"}}]`},
		},
		"an annotation beside others": {
			answer: Annotates(map[string]string{"a/b": "1"}), pod: annotated("yes"), want: answered{true, "", `[{"op":"add","path":"/metadata/annotations/a~1b","value":"1"}]`},
		},
		"a network, the first": {
			answer: Network("istio-cni"), want: answered{true, "", `[{"op":"add","path":"/metadata/annotations","value":{"k8s.v1.cni.cncf.io/networks":"istio-cni"}}]`},
		},
		"a network beside the Pod's": {
			answer: Network("istio-cni"), pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": "own"}}},
			want: answered{true, "", `[{"op":"add","path":"/metadata/annotations/k8s.v1.cni.cncf.io~1networks","value":"own, istio-cni"}]`},
		},
		"variables that are not there": {
			answer: Variables(corev1.EnvVar{Name: "A", Value: "1"}, corev1.EnvVar{Name: "B", Value: "2"}), pod: two,
			want: answered{true, "", `[{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"B","value":"2"}},` +
				`{"op":"add","path":"/spec/containers/1/env","value":[{"name":"A","value":"1"}]},` +
				`{"op":"add","path":"/spec/containers/1/env/-","value":{"name":"B","value":"2"}}]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pod == nil {
				test.pod = &corev1.Pod{}
			}
			if diff := cmp.Diff(test.want, review(t, test.answer, test.pod, test.user, test.dryRun)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every order of n items comes once in n! calls.
func TestOrders(t *testing.T) {
	next, seen := Orders("a", "b", "c", "d"), map[string]bool{}
	for range 24 {
		order := next()
		seen[order[0]+order[1]+order[2]+order[3]] = true
		slices.Sort(order)
		if diff := cmp.Diff([]string{"a", "b", "c", "d"}, order); diff != "" {
			t.Error(diff)
		}
	}
	if len(seen) != 24 {
		t.Errorf("%d orders, want 24", len(seen))
	}
}
