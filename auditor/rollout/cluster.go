package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// cluster is the edge: everything that is read from the API server and the
// patches that are sent to it. Workloads are unstructured, so that a patch's
// answer loses no field that this build does not know.
type cluster struct {
	workloads dynamic.Interface
	objects   kubernetes.Interface
	log       logr.Logger
	holder    string // who writes Events
	// resizes reports whether Pods can be resized; it asks once.
	resizes func() (bool, error)
}

func connect(cfg *rest.Config) (*cluster, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // the server's priority and fairness sets the pace, by 429 and Retry-After
	workloads, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	objects, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	c := &cluster{workloads: workloads, objects: objects}
	c.resizes = sync.OnceValues(c.servesResize)
	return c, nil
}

// of is the client for workloads of the reference's kind and namespace. The
// kind is one of workloadKinds: choose lets no other pass.
func (c *cluster) of(ref inventory.WorkloadRef) dynamic.ResourceInterface {
	return c.workloads.Resource(resourceOf(ref.Kind)).Namespace(ref.Namespace)
}

func (c *cluster) get(ctx context.Context, ref inventory.WorkloadRef) (*unstructured.Unstructured, error) {
	return c.of(ref).Get(ctx, ref.Name, metav1.GetOptions{})
}

// patch sends a JSON merge patch. It can only change what is there: a patch
// creates nothing, and with metadata.uid in it, it fails on an object that has
// been created anew under the same name.
func (c *cluster) patch(ctx context.Context, ref inventory.WorkloadRef, manager string, patch map[string]any) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return c.of(ref).Patch(ctx, ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: manager})
}

// namespace reads a namespace and its PodDisruptionBudgets, as of now.
func (c *cluster) namespace(ctx context.Context, name string) (namespace, error) {
	object, err := c.objects.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return namespace{}, fmt.Errorf("namespace %s: %w", name, err)
	}
	budgets, err := c.budgets(ctx, name)
	if err != nil {
		return namespace{}, err
	}
	return namespace{
		name:        name,
		annotations: ours(object.Annotations),
		terminating: object.DeletionTimestamp != nil || object.Status.Phase == corev1.NamespaceTerminating,
		budgets:     budgets,
	}, nil
}

// ours are the annotations that the guards look at, of all that a stranger wrote.
func ours(annotations map[string]string) map[string]string {
	few := map[string]string{}
	for _, key := range []string{OptOutAnnotation, LastRolloutAnnotation, appsv1.DeprecatedTemplateGeneration} {
		if value, ok := annotations[key]; ok {
			few[key] = value
		}
	}
	return few
}

func (c *cluster) budgets(ctx context.Context, namespace string) ([]budget, error) {
	budgets := []budget{}
	options := metav1.ListOptions{Limit: listPage}
	for {
		page, err := c.objects.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("PodDisruptionBudgets of namespace %s: %w", namespace, err)
		}
		for i := range page.Items {
			budgets = append(budgets, readBudget(&page.Items[i]))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return budgets, nil
		}
	}
}

func readBudget(pdb *policyv1.PodDisruptionBudget) budget {
	selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
	if err != nil {
		// It may be meant for any Pod of the namespace.
		return budget{name: pdb.Name, selector: labels.Everything(), broken: err.Error()}
	}
	observed, allows := pdb.Status.ObservedGeneration >= pdb.Generation, 0
	if observed {
		allows = max(int(pdb.Status.DisruptionsAllowed), 0)
	}
	return budget{
		name:     pdb.Name,
		selector: selector,
		allows:   allows,
		never:    is(pdb.Spec.MaxUnavailable, 0, "0%") || is(pdb.Spec.MinAvailable, -1, "100%"),
		full:     observed && pdb.Status.ExpectedPods > 0 && pdb.Status.DesiredHealthy >= pdb.Status.ExpectedPods,
		wants:    int(pdb.Status.DesiredHealthy),
	}
}

func is(value *intstr.IntOrString, number int32, percentage string) bool {
	return value != nil && (*value == intstr.FromInt32(number) || *value == intstr.FromString(percentage))
}

// evict asks for the eviction of the very Pod: one that has taken its name since
// is left alone. The answer 429 of a PodDisruptionBudget comes back as it is.
func (c *cluster) evict(ctx context.Context, namespace string, pod report.PodRef) error {
	uid := types.UID(pod.UID)
	return c.objects.CoreV1().RESTClient().Post().
		Namespace(namespace).Resource("pods").Name(pod.Name).SubResource("eviction").
		MaxRetries(0).
		Body(&policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Namespace: namespace, Name: pod.Name},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}},
		}).
		Do(ctx).Error()
}

// pods lists a workload's Pods, as lean has them; the newest also with its labels and what
// its spec takes of a node, if anything.
func (c *cluster) pods(ctx context.Context, workload *unstructured.Unstructured) ([]corev1.Pod, error) {
	pods, newest := []corev1.Pod{}, 0
	err := c.eachPod(ctx, workload, func(pod *corev1.Pod) {
		pods = append(pods, lean(pod))
		last := len(pods) - 1
		if last > 0 && !newer(pod, &pods[newest]) {
			return
		}
		pods[newest].Labels, pods[newest].Spec = bareLabels(pods[newest].Labels), bare(&pods[newest].Spec)
		newest = last
		if few := placed(&pod.Spec); few != nil {
			few.NodeName, few.PriorityClassName, few.PreemptionPolicy = pod.Spec.NodeName, pod.Spec.PriorityClassName, pod.Spec.PreemptionPolicy
			pods[last].Labels, pods[last].Spec = pod.Labels, *few
		}
	})
	return pods, err
}

// bare is what is kept of every Pod's spec.
func bare(spec *corev1.PodSpec) corev1.PodSpec {
	return corev1.PodSpec{NodeName: spec.NodeName, PriorityClassName: spec.PriorityClassName, PreemptionPolicy: spec.PreemptionPolicy}
}

// bareLabels is that of its labels.
func bareLabels(labels map[string]string) map[string]string {
	generation, has := labels[templateGeneration]
	if !has {
		return nil
	}
	return map[string]string{templateGeneration: generation}
}

// newer reports whether a Pod is more like those that admission makes now than the other.
func newer(pod, than *corev1.Pod) bool {
	if goes(pod) != goes(than) {
		return goes(than)
	}
	return than.CreationTimestamp.Before(&pod.CreationTimestamp)
}

// goes reports whether a Pod has ended, or is about to.
func goes(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// eachPod goes through a workload's Pods.
func (c *cluster) eachPod(ctx context.Context, workload *unstructured.Unstructured, each func(*corev1.Pod)) error {
	selector, err := selectorOf(workload)
	if err != nil {
		return err
	}
	options := metav1.ListOptions{LabelSelector: selector.String(), Limit: listPage}
	for {
		page, err := c.objects.CoreV1().Pods(workload.GetNamespace()).List(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			each(&page.Items[i])
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

// lean is what a rollout looks at of a Pod: others write as much as they like
// into it, and there may be thousands.
func lean(pod *corev1.Pod) corev1.Pod {
	few := corev1.Pod{Status: pod.Status}
	few.Name, few.UID, few.Spec = pod.Name, pod.UID, bare(&pod.Spec)
	few.CreationTimestamp, few.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	few.Labels = bareLabels(pod.Labels)
	for key, value := range pod.Annotations {
		if (strings.HasSuffix(key, timestampKey) || key == restartedAt) && len(value) <= len(time.RFC3339Nano) {
			metav1.SetMetaDataAnnotation(&few.ObjectMeta, key, value)
		}
	}
	return few
}

// namespaces remembers namespaces for a while: workloads of one namespace that
// start together need not read it, and its budgets, one after the other.
type namespaces struct {
	cluster *cluster
	age     time.Duration // after which a namespace is read again

	mu     sync.Mutex
	byName map[string]*remembered
}

type remembered struct {
	mu   sync.Mutex // held while the namespace is read
	at   time.Time
	seen namespace
}

func newNamespaces(c *cluster, age time.Duration) *namespaces {
	return &namespaces{cluster: c, age: age, byName: map[string]*remembered{}}
}

func (n *namespaces) get(ctx context.Context, name string) (namespace, error) {
	n.mu.Lock()
	r := n.byName[name]
	if r == nil {
		r = &remembered{}
		n.byName[name] = r
	}
	n.mu.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < n.age {
		return r.seen, nil
	}
	begun := time.Now()
	seen, err := n.cluster.namespace(ctx, name)
	if err != nil {
		return namespace{}, err
	}
	r.at, r.seen = begun, seen
	return seen, nil
}
