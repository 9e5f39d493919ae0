package candidate

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// mark keeps an injector away from a Pod.
type mark struct {
	field      string // labels or annotations
	key, value string
}

// knownMarks are those of injectors, by what their webhooks' names end with.
var knownMarks = []struct {
	webhook string
	mark    mark
}{
	// https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#controlling-the-injection-policy
	{"sidecar-injector.istio.io", mark{"labels", "sidecar.istio.io/inject", "false"}},
	// https://docs.dapr.io/reference/arguments-annotations-overview/
	{"sidecar-injector.dapr.io", mark{"annotations", "dapr.io/enabled", "false"}},
	// https://linkerd.io/2/reference/proxy-configuration/
	{"linkerd-proxy-injector.linkerd.io", mark{"annotations", "linkerd.io/inject", "disabled"}},
	// https://developer.hashicorp.com/vault/docs/deploy/kubernetes/injector/annotations
	{"vault.hashicorp.com", mark{"annotations", "vault.hashicorp.com/agent-inject", "false"}},
}

// switchOff is the mark that keeps a webhook away; false where none is known.
func (h *hook) switchOff() (mark, bool) {
	for _, known := range knownMarks {
		if h.webhook == known.webhook || strings.HasSuffix(h.webhook, "."+known.webhook) {
			return known.mark, true
		}
	}
	if selector := h.accessor.GetObjectSelector(); selector != nil {
		for _, r := range selector.MatchExpressions {
			switch {
			case r.Operator == metav1.LabelSelectorOpNotIn && len(r.Values) > 0:
				return mark{"labels", r.Key, r.Values[0]}, true
			case r.Operator == metav1.LabelSelectorOpDoesNotExist:
				return mark{"labels", r.Key, "preview"}, true
			}
		}
	}
	return mark{}, false
}

// switches are the marks that keep all webhooks away for which there are candidates; nil where
// one of them knows none.
func (q question) switches() []mark {
	var marks []mark
	for _, h := range q.hooks {
		if h.candidate == nil {
			continue
		}
		off, known := h.switchOff()
		if !known {
			return nil
		}
		marks = append(marks, off)
	}
	return marks
}

// validated has the API server create the Pod in a dry run, with nobody asked whose answer is
// in it already, and returns what it makes of it: with defaults, and what in-tree plugins and
// webhooks that are asked later do.
func (q question) validated(ctx context.Context, made admitted, kept object, off []mark) ([]byte, error) {
	raw, err := encode(q.submission(made.pod, off))
	if err != nil {
		return nil, err
	}
	answered, err := q.Inject(ctx, raw)
	if err != nil {
		return nil, err
	}
	if answered, err = q.restored(answered, kept, off); err != nil || !made.others {
		return answered, err
	}
	// Others have been asked again about what they have been asked about already. Where they
	// add to it once more, what they did the first time counts.
	once, err := encodeStored(kept)
	if err != nil {
		return nil, err
	}
	differing, err := q.differs(answered, once, q.Submitted)
	if err != nil || len(differing) > 0 {
		return once, err
	}
	return answered, nil
}

// submission is a Pod as it is submitted for validation: without what the API server itself
// adds, and refuses from others.
func (q question) submission(pod object, off []mark) object {
	spec, metadata := copyOf(child(pod, "spec")), copyOf(child(pod, "metadata"))
	for _, field := range []string{"priority", "preemptionPolicy"} {
		if _, given := child(q.submitted, "spec")[field]; !given {
			delete(spec, field)
		}
	}
	token := func(item any) bool {
		o, _ := item.(object)
		return strings.HasPrefix(text(o, "name"), podspec.TokenVolume)
	}
	without(spec, "volumes", token)
	for _, lists := range []string{"initContainers", "containers"} {
		items, _ := spec[lists].([]any)
		items = slices.Clone(items)
		for i, item := range items {
			if container, ok := item.(object); ok {
				container = copyOf(container)
				without(container, "volumeMounts", token)
				items[i] = container
			}
		}
		if items != nil {
			spec[lists] = items
		}
	}
	for _, field := range []string{"managedFields", "uid", "creationTimestamp", "resourceVersion"} {
		delete(metadata, field)
	}
	if _, named := child(q.submitted, "metadata")["name"]; !named {
		delete(metadata, "name")
	}
	metadata = withoutOurs(metadata)
	for _, m := range off {
		texts := copyOf(child(metadata, m.field))
		texts[m.key] = m.value
		metadata[m.field] = texts
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
}

func without(of object, field string, which func(any) bool) {
	items, _ := of[field].([]any)
	if kept := slices.DeleteFunc(slices.Clone(items), which); len(kept) > 0 {
		of[field] = kept
	} else {
		delete(of, field)
	}
}

// restored is the API server's answer about a Pod, without marks, and with the managedFields
// of one that was injected into. All else stays as it is, byte by byte.
func (q question) restored(raw []byte, kept object, off []mark) ([]byte, error) {
	answer, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}
	metadata, was := copyOf(child(answer, "metadata")), child(kept, "metadata")
	for _, m := range off {
		texts := copyOf(child(metadata, m.field))
		if value, had := child(was, m.field)[m.key]; had {
			texts[m.key] = value
		} else {
			delete(texts, m.key)
		}
		metadata[m.field] = texts
	}
	if managed := was["managedFields"]; managed != nil {
		metadata["managedFields"] = managed
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if members["metadata"], err = json.Marshal(q.limits(withoutOurs(metadata))); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// limits has the plugin LimitRanger say what it set before, too, which it did not have to set
// again.
func (q question) limits(metadata object) object {
	before := text(child(child(q.answer, "metadata"), "annotations"), limitRangerAnnotation)
	if before == "" {
		return metadata
	}
	annotations := copyOf(child(metadata, "annotations"))
	if now := text(annotations, limitRangerAnnotation); now != "" && now != before {
		_, clauses, _ := strings.Cut(now, ": ")
		before += "; " + clauses
	}
	annotations[limitRangerAnnotation] = before
	metadata["annotations"] = annotations
	return metadata
}

// withoutOurs is metadata without the stamper's annotations, which are of another Pod.
func withoutOurs(metadata object) object {
	annotations := child(metadata, "annotations")
	if annotations == nil {
		return metadata
	}
	kept := object{}
	for key, value := range annotations {
		if !strings.HasPrefix(key, "sidecar-drift.io/") {
			kept[key] = value
		}
	}
	metadata["annotations"] = kept
	return metadata
}

// ofTemplate is what the API server says of a PodTemplate, as it would of a Pod.
var ofTemplate = regexp.MustCompile(`PodTemplate "[^"]*"|template\.(spec|metadata)\b`)

// called is what an API server calls the Pod, without what it makes up: see
// [injection.Classify].
func (q question) called() string {
	metadata := child(q.submitted, "metadata")
	if name := text(metadata, "name"); name != "" {
		return name
	}
	return text(metadata, "generateName") + "…"
}

// validatedAsTemplate has the API server validate the Pod where injection cannot be switched
// off: as a PodTemplate, of which no injector is asked, and which it gives the same defaults.
// Whoever may not create one, not even in a dry run, goes without.
func (q question) validatedAsTemplate(ctx context.Context, kept object) ([]byte, error) {
	pod := q.submission(kept, nil)
	metadata := child(pod, "metadata")
	template := object{
		"apiVersion": "v1", "kind": "PodTemplate",
		"metadata": object{"generateName": "sidecar-drift-preview-"},
		"template": object{"metadata": object{"labels": metadata["labels"], "annotations": metadata["annotations"]}, "spec": pod["spec"]},
	}
	raw, err := encode(template)
	if err != nil {
		return nil, err
	}
	result := q.client.Post().AbsPath("/api/v1").Namespace(q.Namespace).Resource("podtemplates").
		Param("dryRun", "All").SetHeader("Content-Type", "application/json").Body(raw).Do(ctx)
	err = result.Error() // which says why, as Raw does not
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if status, is := errors.AsType[*apierrors.StatusError](err); is && apierrors.IsInvalid(err) {
		reason := ofTemplate.ReplaceAllStringFunc(status.ErrStatus.Message, func(found string) string {
			if field, ok := strings.CutPrefix(found, "template."); ok {
				return field
			}
			return `Pod "` + q.called() + `"`
		})
		return nil, &injection.Refusal{State: verdict.Blocked, Reason: verdict.Cut(reason, verdict.MaxReason)}
	}
	if err != nil {
		q.unvalidated.CompareAndSwap(nil, new(verdict.Cut(err.Error(), verdict.MaxReason)))
		return encodeStored(kept)
	}
	q.asTemplate.Store(true)
	answered, err := result.Raw()
	if err != nil {
		return nil, err
	}
	answer, err := decodeObject(answered)
	if err != nil {
		return nil, err
	}
	kept = copyOf(kept)
	kept["spec"] = completed(kept["spec"], child(child(answer, "template"), "spec"))
	return encodeStored(kept)
}
