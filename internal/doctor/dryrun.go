package doctor

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// dryRun asks for one Pod, as an audit does, and looks for its stamp.
func (e *examiner) dryRun(ctx context.Context) {
	in := e.options.Namespace
	probe := fence.Pod()
	probe.GenerateName = "sidecar-drift-doctor-"
	started := e.options.Now()
	pod, err := e.objects.CoreV1().Pods(in).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	took := e.options.Now().Sub(started)
	e.add(judgeDryRun(in, e.note(err), took))
	if e.installed.nothing() {
		return
	}
	s := stamping{namespace: in, took: took, refused: err != nil}
	if err == nil {
		s.stamp = pod.Annotations[fingerprint.StampAnnotation]
	}
	if e.installed.configuration.err == nil {
		if w := stampWebhook(e.installed.configuration.value); w != nil {
			s.webhook = true
			s.timeout = time.Duration(seconds(w)) * time.Second
			// Without its labels, the namespace is taken for one that is selected.
			s.selected = true
			if found, err := e.objects.CoreV1().Namespaces().Get(ctx, in, metav1.GetOptions{}); e.note(err) == nil {
				s.selected = selects(w.NamespaceSelector, withName(found.Labels, in))
			}
		}
	}
	e.add(judgeStamp(s))
}

// withName adds the label that the API server keeps on each namespace.
func withName(set labels.Set, name string) labels.Set {
	return labels.Merge(set, labels.Set{corev1.LabelMetadataName: name})
}

// judgeDryRun judges what the API server answered.
func judgeDryRun(namespace string, err error, took time.Duration) Finding {
	t := topic{checkDryRun, "namespace " + namespace}
	if err == nil {
		return t.ok("a Pod that is created in a dry run comes back after %d ms", took.Milliseconds())
	}
	switch refusal := injection.Classify(err); {
	case refusal.Webhook != "":
		return t.wrong("see docs/troubleshooting.md#unknown", "a webhook stands in the way of every Pod that it matches: %s", refusal.Reason)
	case refusal.Forbidden:
		return t.notChecked(inventory.AskAsAuditor, "you may not ask: %s", refusal.Reason)
	default:
		return t.notChecked("choose a namespace that takes the Pod: --namespace", "%s", refusal.Reason)
	}
}

// stamping is how our webhook answered for a Pod.
type stamping struct {
	namespace string
	webhook   bool // it is registered
	selected  bool // its namespaceSelector selects the namespace
	timeout   time.Duration
	refused   bool // there was no Pod
	stamp     string
	took      time.Duration // all of admission
}

func judgeStamp(s stamping) Finding {
	t := topic{checkStamp, "namespace " + s.namespace}
	const remedy = "see docs/troubleshooting.md#pods-are-not-stamped"
	switch {
	case s.refused:
		return t.notChecked("", "there was no Pod to look at")
	case s.stamp != "":
		return t.ok("the Pod is stamped (%s), all of admission took %d ms; the stamper's own limit is %v", s.stamp, s.took.Milliseconds(), s.timeout)
	case !s.webhook:
		return t.notChecked("", "the webhook that stamps is not registered")
	case !s.selected:
		return t.notChecked("choose another one: --namespace", "the stamper is not asked about Pods in this namespace")
	case s.took >= s.timeout:
		return t.wrong(remedy, "the Pod came back without a stamp after %d ms: the stamper did not answer within %v", s.took.Milliseconds(), s.timeout)
	}
	return t.wrong(remedy, "the Pod came back without a stamp after %d ms: the stamper could not be called, or was not trusted", s.took.Milliseconds())
}
