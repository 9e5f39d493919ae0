package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// In each round as many Pods are created behind each webhook, one at a time, the
// webhooks in a new order each time: what else the machine does, and what the
// Pod before left to do, weighs on all alike. The ratio is the median of the
// rounds'.
const (
	admissionRounds = 15
	admissionRound  = 80 // Pods behind each webhook
)

// webhooked is a namespace whose Pods pass one webhook.
type webhooked struct {
	namespace string
	labels    map[string]string
	// annotation is what the webhook writes on a Pod, none if that is empty;
	// its value begins with prefix.
	annotation, prefix string
}

// floorLabel says at which path of the floor a namespace's Pods are reviewed.
const floorLabel = "bench-floor"

// The stamper's own opt-out keeps it from the floor's namespaces.
var (
	byStamper   = webhooked{namespace: "bench-stamped", annotation: fingerprint.StampAnnotation, prefix: "v1:"}
	byAnnotator = webhooked{
		namespace: "bench-annotated", labels: map[string]string{"sidecar-drift.io/stamp": "disabled", floorLabel: "annotate"},
		annotation: "floor", prefix: "annotated",
	}
	byAllower = webhooked{
		namespace: "bench-allowed", labels: map[string]string{"sidecar-drift.io/stamp": "disabled", floorLabel: "allow"},
	}
)

// admissionBench measures how long the creation of a Pod takes with the stamper,
// beside a webhook that adds one constant annotation and one that only allows
// the Pod. The floors' webhooks run in a process of their own, over TLS, and are
// registered as the stamper is.
//
// The Pod is an injected one, submitted as it is: an injector's own
// milliseconds would only hide the difference. As the Pod's annotation names
// what was injected it is stamped in full; as its creator owns all of it, its
// review is half again as long as that of a Pod that an injector changed. No
// scheduler touches it. The client speaks Protobuf, as the controllers do that
// create Pods.
func admissionBench(ctx context.Context, out io.Writer) (err error) {
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	product, err := install.Start(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, product.Stop()) }()
	if err := startFloor(ctx, c); err != nil {
		return err
	}
	creator, err := newPodCreator(c)
	if err != nil {
		return err
	}
	for _, w := range []webhooked{byStamper, byAnnotator, byAllower} {
		if err := creator.prepare(ctx, w); err != nil {
			return err
		}
	}
	return creator.compare(ctx, out)
}

// startFloor runs the floor and registers its two webhooks.
func startFloor(ctx context.Context, c *cluster.Cluster) error {
	dir := filepath.Join(c.Dir(), "floor")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	binary := filepath.Join(dir, "floor")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/sidecar-drift/sidecar-drift/test/bench/floor")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the floor: %w\n%s", err, output)
	}
	cert, err := cluster.NewServingCert(dir)
	if err != nil {
		return err
	}
	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	if _, err := c.Run("floor", binary, []string{fmt.Sprintf("127.0.0.1:%d", port), cert.CertFile, cert.KeyFile}, nil); err != nil {
		return err
	}
	configuration, err := floorConfiguration(ctx, c)
	if err != nil {
		return err
	}
	return c.RegisterWebhook(ctx, configuration, port, cert.CA)
}

// floorConfiguration is the stamper's own, but for the namespaces and for
// failing closed. Both webhooks are in one object: where one is seen to be in
// force, the other is, too.
func floorConfiguration(ctx context.Context, c *cluster.Cluster) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	stamper, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, install.WebhookConfiguration, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "zz-floor"}}
	for _, answer := range []string{"annotate", "allow"} {
		floor, path, fail := stamper.Webhooks[0].DeepCopy(), "/"+answer, admissionregistrationv1.Fail
		floor.Name = answer + ".floor.test"
		floor.FailurePolicy = &fail
		floor.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{floorLabel: answer}}
		floor.ClientConfig = admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "floor", Path: &path},
		}
		configuration.Webhooks = append(configuration.Webhooks, *floor)
	}
	return configuration, nil
}

// podCreator creates the same Pod again and again.
type podCreator struct {
	client kubernetes.Interface
	pod    *corev1.Pod
}

func newPodCreator(c *cluster.Cluster) (*podCreator, error) {
	config := c.RESTConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	pod, err := injectedPod()
	return &podCreator{client, pod}, err
}

// injectedPod returns the Pod of the captured review as a creator would submit
// it, with a gate that keeps the scheduler away.
func injectedPod() (*corev1.Pod, error) {
	body, err := capturedReview()
	if err != nil {
		return nil, err
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(review.Request.Object.Raw, pod); err != nil {
		return nil, err
	}
	pod.Namespace, pod.OwnerReferences, pod.ManagedFields = "", nil, nil
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "bench.test/never"}}
	// The API server adds a volume with the ServiceAccount's token anew.
	isToken := func(name string) bool { return strings.HasPrefix(name, "kube-api-access-") }
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return isToken(v.Name) })
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			containers[i].VolumeMounts = slices.DeleteFunc(containers[i].VolumeMounts, func(m corev1.VolumeMount) bool { return isToken(m.Name) })
		}
	}
	return pod, nil
}

// prepare makes the namespace and waits until Pods there pass their webhook.
func (p *podCreator) prepare(ctx context.Context, w webhooked) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace, Labels: w.labels}}
	if _, err := p.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	return cluster.Poll(ctx, "a Pod in "+w.namespace+" that passed its webhook", func(ctx context.Context) error {
		_, err := p.create(ctx, w)
		return err
	})
}

// create returns the milliseconds that a Pod's creation took, and fails if the
// Pod does not carry what its webhook writes and nothing else.
func (p *podCreator) create(ctx context.Context, w webhooked) (float64, error) {
	var created *corev1.Pod
	took, err := seconds(func() (err error) {
		created, err = p.client.CoreV1().Pods(w.namespace).Create(ctx, p.pod, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, name := range []string{byStamper.annotation, byAnnotator.annotation} {
		value, has := created.Annotations[name]
		written := has && strings.HasPrefix(value, w.prefix) && value != fingerprint.None
		if wanted := name == w.annotation; has != wanted || written != wanted {
			return 0, fmt.Errorf("Pod %s/%s has the annotation %s=%q", w.namespace, created.Name, name, value)
		}
	}
	return took * 1000, nil
}

// compare prints the figures.
func (p *podCreator) compare(ctx context.Context, out io.Writer) error {
	webhooks := []webhooked{byStamper, byAnnotator, byAllower}
	order := rand.New(rand.NewPCG(1, 1))
	all := map[string][]float64{}
	var annotator, allower []float64 // the rounds' ratios to them
	for round := range admissionRounds + 1 {
		took := map[string][]float64{}
		for range admissionRound {
			for _, i := range order.Perm(len(webhooks)) {
				w := webhooks[i]
				milliseconds, err := p.create(ctx, w)
				if err != nil {
					return err
				}
				took[w.namespace] = append(took[w.namespace], milliseconds)
			}
		}
		if round == 0 {
			continue // caches are warm from here on
		}
		stamper := median(took[byStamper.namespace])
		annotator = append(annotator, stamper/median(took[byAnnotator.namespace]))
		allower = append(allower, stamper/median(took[byAllower.namespace]))
		for namespace, milliseconds := range took {
			all[namespace] = append(all[namespace], milliseconds...)
		}
	}
	p99 := map[string]float64{}
	for _, w := range webhooks {
		p99[w.namespace] = percentile(all[w.namespace], 99)
		fmt.Fprintf(out, "%s: a Pod's creation takes %.2f ms at p50, %.2f ms at p99 (%d Pods)\n",
			w.namespace, median(all[w.namespace]), p99[w.namespace], len(all[w.namespace]))
	}
	fmt.Fprintf(out, "p50 of the stamper by that of the annotator, a round: %.3f to %.3f\n", slices.Min(annotator), slices.Max(annotator))
	figure(out, "admission-p50", fmt.Sprintf("%.2f", median(annotator)), "x", "<= 1.15")
	figure(out, "admission-p50-allowed", fmt.Sprintf("%.2f", median(allower)), "x", "-")
	figure(out, "admission-p99", fmt.Sprintf("%.2f", p99[byStamper.namespace]/p99[byAnnotator.namespace]), "x", "-")
	figure(out, "admission-p99-allowed", fmt.Sprintf("%.2f", p99[byStamper.namespace]/p99[byAllower.namespace]), "x", "-")
	return nil
}

// percentile returns the value that p of 100 values are not above; it sorts them.
func percentile(values []float64, p int) float64 {
	slices.Sort(values)
	return values[(len(values)-1)*p/100]
}
