package candidate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Place says who answers for a webhook.
type Place struct {
	Webhook string // CONFIGURATION/WEBHOOK, or a part of it that no other has
	Where   Where
}

// Options say who is to answer.
type Options struct {
	// Candidates answer in the place of webhooks. There is one at least.
	Candidates []Place
	// Present says where webhooks can be reached now, if not as their configurations say.
	Present []Place
	// CA is a bundle of certificates (PEM) by which candidates are verified; nil: those of the
	// webhook's configuration for a Service, the system's for a URL.
	CA []byte
	// Concurrency is how many Pods are asked about at once.
	Concurrency int
	// Ignore leaves places out where a present webhook is held to the dry run.
	Ignore []verdict.PathPattern
}

// Candidates are the webhooks of a cluster, of which some have candidates. Its methods may be
// called concurrently.
type Candidates struct {
	opts     Options
	cluster  kubernetes.Interface
	client   rest.Interface
	hooks    []*hook
	chain    *injection.Chain
	compiler cel.ConditionCompiler
	policies bool // a MutatingAdmissionPolicy is for Pods

	described []report.CandidateWebhook

	askers *Askers

	asTemplate  atomic.Bool            // answers were validated as PodTemplates
	unvalidated atomic.Pointer[string] // why some were not; nil: all were
}

// Connect finds the webhooks and whom to ask. The caller must Close it.
func Connect(ctx context.Context, config *rest.Config, opts Options) (*Candidates, error) {
	client, err := apiserver.Connect(config)
	if err != nil {
		return nil, err
	}
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	hooks, err := readHooks(ctx, client)
	if err != nil {
		return nil, err
	}
	chain, err := injection.ReadChain(ctx, client)
	if err != nil {
		return nil, err
	}
	c := &Candidates{
		opts: opts, cluster: cluster, client: client, hooks: hooks, chain: chain, askers: NewAskers(cluster),
		compiler: cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())),
		policies: slices.ContainsFunc(chain.ForPods(), func(s injection.Step) bool { return s.Kind == injection.MutatingPolicy }),
	}
	if err := c.reach(reach{config: config, cluster: cluster, ca: opts.CA, concurrency: max(1, opts.Concurrency)}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// reach finds the servers of all webhooks.
func (c *Candidates) reach(r reach) error {
	present := map[*hook]Where{}
	for _, p := range c.opts.Present {
		hooks, err := named(c.hooks, p.Webhook)
		if err != nil {
			return fmt.Errorf("--present: %w", err)
		}
		for _, h := range hooks {
			present[h] = p.Where
		}
	}
	for _, p := range c.opts.Candidates {
		hooks, err := named(c.hooks, p.Webhook)
		if err != nil {
			return fmt.Errorf("--webhook: %w", err)
		}
		for _, h := range hooks {
			if err := h.replace(r, p.Where); err != nil {
				return fmt.Errorf("--webhook %s: %w", h.name(), err)
			}
			c.described = append(c.described, report.CandidateWebhook{Webhook: h.name(), Candidate: p.Where.String()})
		}
	}
	for _, h := range c.hooks {
		if h.ours() {
			continue
		}
		where, given := present[h]
		by := r
		if !given { // the API server knows nothing of the candidates' authorities
			where, h.unreached = whereOf(h.client)
			by.ca = nil
		}
		if h.unreached == nil {
			h.present, h.unreached = by.to(where, h.client.CABundle)
		}
	}
	return nil
}

// replace has another one answer for the webhook.
func (h *hook) replace(r reach, where Where) error {
	switch {
	case h.candidate != nil:
		return errors.New("it is named twice")
	case h.ours():
		return errors.New("it is the stamper, which injects nothing")
	}
	var bundle []byte
	if where.Service != nil && r.ca == nil {
		bundle = h.client.CABundle
	}
	var err error
	h.candidate, err = r.to(where, bundle)
	return err
}

// Close ends connections.
func (c *Candidates) Close() {
	for _, h := range c.hooks {
		for _, s := range []server{h.present, h.candidate} {
			if s != nil {
				s.close()
			}
		}
	}
}

// unknown says that nothing can be said of a workload.
func unknown(format string, args ...any) *injection.Refusal {
	return &injection.Refusal{State: verdict.Unknown, Reason: verdict.Cut(fmt.Sprintf(format, args...), verdict.MaxReason)}
}

func encode(pod object) ([]byte, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("Pod: %w", err)
	}
	return raw, nil
}

// encodeStored writes a Pod as an API server does, its fields in the order of the API, and
// numbers and quantities in its way: so its values are those of a later audit. One that has
// fields that this build does not know keeps them, in any order.
func encodeStored(pod object) ([]byte, error) {
	raw, err := encode(pod)
	if err != nil {
		return nil, err
	}
	var typed corev1.Pod
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, fmt.Errorf("Pod: %w", err)
	}
	stored, err := json.Marshal(typed)
	if err != nil {
		return nil, fmt.Errorf("Pod: %w", err)
	}
	written, err := decodeObject(stored)
	if err != nil || lost(pod, written) {
		return raw, err
	}
	return stored, nil
}

// lost reports whether a value has anything at a place where the other has nothing.
func lost(value, written any) bool {
	switch v := value.(type) {
	case object:
		w, _ := written.(object)
		for key, member := range v {
			if lost(member, w[key]) {
				return true
			}
		}
		return false
	case []any:
		w, _ := written.([]any)
		if len(v) != len(w) {
			return len(v) > 0
		}
		for i := range v {
			if lost(v[i], w[i]) {
				return true
			}
		}
		return false
	case nil:
		return false
	}
	return written == nil && value != "" && value != false && value != int64(0)
}

// OrUnknown is the refusal that an error is, or makes a workload's reason of it; as it is once
// ctx is done.
func OrUnknown(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if refusal, is := errors.AsType[*injection.Refusal](err); is {
		return refusal
	}
	return unknown("not previewed: %v", err)
}
