package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// finding is what became of one revision.
type finding struct {
	workload inventory.WorkloadRef
	group    string // the workload's API group
	revision report.Revision
	pods     map[verdict.State]int
	oldest   time.Time // when the first of its Pods was started; zero: none was
	gone     int
	refusal  *injection.Refusal // nil if there is a fresh Pod

	as injection.Identity
	// unasked: nothing is known of a fresh Pod now, for a reason that may pass.
	unasked bool
	// lastReason is the reason of a stale finding from before it was.
	lastReason string
	submitted  []byte // what was asked about last; nil: nothing could be
	fresh      verdict.Digest
	named      bool // the fresh Pod has a container of Selection.SidecarNames
	// answer is the fresh Pod, and features are what the revision has by that; only for
	// those who are given the finding at once.
	answer   jsontree.Node
	features []cover.Feature
	shape    shape
	// asShaped is when another one of its shape was asked about; zero: it was itself.
	asShaped time.Time
	// judged are the states by the Pods' digests; nil if all Pods have one state
	// without a comparison.
	judged map[inventory.Alike]verdict.State
	// differs is what Pods that drift differ by, all of it, by their digests; only for
	// those who are given the finding at once.
	differs map[inventory.Alike][]verdict.Change

	varies    restless.Scope // of what is known to vary
	reordered []string       // where what differs does in order alone
	doubted   bool           // some of that is unstable, as nothing tells
	again     bool           // it was asked again as something was known since
	restless  bool           // fresh injections of it have differed among themselves
	scope     newborn.Scope  // of what newborn Pods teach; only where it matters
	answered  int64          // when the dry run was, by the API server's clock; as Pod.Created
	since     int64          // when answers began to be this one, as far as is known
	// lastAnswer is the last one that could be judged, and former are those before it, for
	// as long as the revision has Pods.
	lastAnswer verdict.Digest
	former     []verdict.Digest
}

// approximation is the reason beside a verdict on a reconstructed Pod.
const approximation = "compared with a Pod reconstructed from the fields that its creator owns, as no template is known"

// revision judges the Pods of one revision. The error is the context's: whatever
// else goes wrong is a state.
func (a *audit) revision(ctx context.Context, r inventory.Revision) (finding, error) {
	f := finding{
		workload: r.Workload, group: r.Group,
		revision: report.Revision{Name: r.Name, Approximate: r.Template == nil || r.Doubt != ""},
		pods:     map[verdict.State]int{},
	}
	if r.Template == nil {
		f.revision.Reason = approximation
	}
	err := r.Broken
	if err == nil {
		err = a.ask(ctx, &f, r)
	}
	switch refusal, refused := errors.AsType[*injection.Refusal](err); {
	case ctx.Err() != nil:
		return f, context.Cause(ctx)
	case errors.Is(err, errShaped):
		return f, nil
	case refused:
		f.refusal = refusal
		f.unasked = refusal.State == verdict.Unknown
		f.unjudged(a.opts.ofSidecars(r.Pods, false), refusal.State, refusal.Reason)
	case errors.Is(err, errGone):
		f.gone = len(r.Pods)
	case err != nil:
		f.unjudged(a.opts.ofSidecars(r.Pods, false), verdict.Unknown, err.Error())
	}
	a.markDown(ctx, &f, r)
	if f.revision.State.Drift() {
		f.scope = a.scopeOf(ctx, r, f.submitted)
		if f.scope != (newborn.Scope{}) {
			f.revision.Scope = fmt.Sprintf("%x %s", f.scope.Chain, f.scope.Owner)
		}
	}
	f.also(r.Doubt)
	a.markAsker(ctx, &f, r)
	return f, nil
}

// ask asks for a fresh Pod and compares.
func (a *audit) ask(ctx context.Context, f *finding, r inventory.Revision) error {
	var err error
	if f.as, err = a.as.For(ctx, r.Owner); err != nil {
		f.unasked = true
		return err
	}
	f.revision.AskedAs = f.as.User
	fresh, err := a.fresh(ctx, r, f, injection.Ordinal{})
	if err != nil {
		return err
	}
	return a.judge(ctx, f, r, fresh)
}

// also adds to the revision's reason.
func (f *finding) also(reason string) {
	switch {
	case reason == "":
	case f.revision.Reason == "":
		f.revision.Reason = reason
	default:
		f.revision.Reason += "; " + reason
	}
}

// unjudged gives all Pods one state without a comparison.
func (f *finding) unjudged(pods []inventory.Pod, state verdict.State, reason string) {
	f.judged = nil
	f.none()
	f.count(pods, state)
	f.revision.Reason = verdict.Cut(reason, verdict.MaxReason)
	f.revision.Stamps = stamps(pods)
	f.revision.State = state
}

// begin takes back what a comparison has found.
func (f *finding) begin() {
	f.none()
	f.judged, f.differs = map[inventory.Alike]verdict.State{}, map[inventory.Alike][]verdict.Change{}
	f.gone, f.reordered, f.restless = 0, nil, false
	r := &f.revision
	r.Changes, r.MoreChanges, r.Varies, r.Ignored, r.Autoscaled = nil, 0, nil, 0, nil
	r.Sidecars, r.Loses, r.Injected, r.AppImages = nil, nil, false, nil
	r.Undecided, r.Metadata, r.MoreMetadata = nil, nil, 0
}

// none takes all Pods out of the finding.
func (f *finding) none() {
	f.pods = map[verdict.State]int{}
	f.revision.Pods, f.revision.Members, f.oldest = 0, nil, time.Time{}
}

func (f *finding) count(pods []inventory.Pod, state verdict.State) {
	if len(pods) == 0 {
		return
	}
	f.pods[state] += len(pods)
	f.revision.Pods += len(pods)
	if f.revision.Members == nil {
		f.revision.Members = map[verdict.State][]report.PodRef{}
	}
	f.revision.Members[state] = append(f.revision.Members[state], refs(pods)...)
	for _, pod := range pods {
		f.oldest = earlier(f.oldest, pod.Started)
	}
}

// earlier is the earlier of two times, of which the zero one counts as none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// nameAttempts is how many names are tried for one that is free: a StatefulSet
// that is just scaled down has Pods beyond those that it wants.
const nameAttempts = 5

// fresh returns what admission would make of the revision's Pods now, and puts
// what it was asked about into the finding; for a StatefulSet's, at the first
// ordinal from there on that is free.
func (a *audit) fresh(ctx context.Context, r inventory.Revision, f *finding, from injection.Ordinal) ([]byte, error) {
	shape := func(attempt int) ([]byte, error) {
		at := from
		at.Further += attempt
		return injection.Shape(r, at)
	}
	if r.Template == nil {
		live, err := a.live(ctx, r.Workload.Namespace, r.Pods)
		if err != nil {
			return nil, err
		}
		shape = func(attempt int) ([]byte, error) { return injection.Reconstruct(live, r.Owner, attempt) }
	}
	for attempt := 0; ; attempt++ {
		pod, err := shape(attempt)
		if err == nil && !a.opts.Preview.Empty() {
			pod, err = a.opts.Preview.With(pod)
		}
		if err != nil {
			return nil, err
		}
		f.submitted = pod
		if a.shaped != nil && attempt == 0 {
			f.shape = shapeOf(r, pod)
			if known, is := a.shaped(r, *f); is {
				*f = known
				return nil, errShaped
			}
		}
		fresh, err := a.injector.Inject(ctx, r.Workload.Namespace, pod, f.as)
		refusal, _ := errors.AsType[*injection.Refusal](err)
		a.asked(refusal)
		if refusal == nil || !refusal.Exists || attempt == nameAttempts-1 {
			return fresh, err
		}
	}
}

// asked counts a dry run.
func (a *audit) asked(refusal *injection.Refusal) {
	if a.opts.Asked == nil {
		return
	}
	switch {
	case refusal == nil:
		a.opts.Asked("answered")
	case refusal.State == verdict.Blocked:
		a.opts.Asked("refused")
	default:
		a.opts.Asked("unknown")
	}
}

// errShaped is that the answer is known of another one of the shape.
var errShaped = errors.New("the shape is known")

// errGone is that all Pods ended while they were audited.
var errGone = errors.New("the Pods have gone")

// live returns one of the Pods, which are alike: as it was listed or, where
// that was not kept, as it is now, if it still is the Pod that was listed.
func (a *audit) live(ctx context.Context, namespace string, pods []inventory.Pod) (jsontree.Node, error) {
	if at := slices.IndexFunc(pods, func(p inventory.Pod) bool { return p.JSON != nil }); at >= 0 {
		return parse("Pod "+namespace+"/"+pods[at].Name, pods[at].JSON)
	}
	for _, pod := range pods {
		result := a.client.Get().AbsPath("/api/v1").Namespace(namespace).Resource("pods").Name(pod.Name).Do(ctx)
		err := result.Error()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return jsontree.Node{}, fmt.Errorf("get Pod %s/%s: %w", namespace, pod.Name, err)
		}
		raw, err := result.Raw()
		if err != nil {
			return jsontree.Node{}, err
		}
		root, err := parse("Pod "+namespace+"/"+pod.Name, raw)
		if err != nil {
			return jsontree.Node{}, err
		}
		if root.Get("metadata", "uid").String() == pod.UID {
			return root, nil
		}
	}
	return jsontree.Node{}, errGone
}

func parse(what string, document []byte) (jsontree.Node, error) {
	root, err := jsontree.Parse(document)
	if err != nil {
		return jsontree.Node{}, fmt.Errorf("%s: %w", what, err)
	}
	return root, nil
}

func refs(pods []inventory.Pod) []report.PodRef {
	list := make([]report.PodRef, len(pods))
	for i, pod := range pods {
		list[i] = report.PodRef{Name: pod.Name, UID: pod.UID}
	}
	return list
}

// add counts Pods that are alike and collects what distinguishes them, as much as may
// be kept of one revision.
func (f *finding) add(v verdict.Verdict, pods []inventory.Pod) {
	f.count(pods, v.State)
	f.revision.MoreChanges += v.More
	if slices.ContainsFunc(pods, func(p inventory.Pod) bool { return !p.Initialized }) {
		v.Changes = verdict.NotYet(v.Changes)
	}
	f.revision.Changes = f.bound(union(f.revision.Changes, v.Changes))
	f.revision.Sidecars = verdict.BoundNames(unionOfNames(f.revision.Sidecars, v.Sidecars))
	f.revision.Injected = f.revision.Injected || v.Injected
	f.revision.AppImages, _ = verdict.Bound(union(f.revision.AppImages, v.AppImages))
	f.revision.Loses = verdict.BoundNames(unionOfNames(f.revision.Loses, v.Loses))
	f.revision.Varies = verdict.BoundNames(unionOfNames(f.revision.Varies, v.Varies))
	f.restless = f.restless || len(v.Varies) > 0
	f.reordered = unionOfNames(f.reordered, v.Reordered)
	f.revision.Ignored += v.Ignored
	f.revision.Autoscaled = f.bound(union(f.revision.Autoscaled, v.Autoscaled))
	f.revision.Undecided = verdict.BoundNames(unionOfNames(f.revision.Undecided, pathsOf(v.Undecided)))
	metadata, more := verdict.BoundMetadata(union(f.revision.Metadata, v.Metadata))
	f.revision.Metadata, f.revision.MoreMetadata = metadata, f.revision.MoreMetadata+v.MoreMetadata+more
	if len(f.revision.Autoscaled) > 0 && f.revision.Reason == "" {
		f.revision.Reason = autoscalers
	}
}

func (f *finding) bound(changes []verdict.Change) []verdict.Change {
	kept, left := verdict.Bound(changes)
	f.revision.MoreChanges += left
	return kept
}

// union of changes, each once, sorted. Pods of one revision that differ may
// have one path twice, from different values. What is spent in some of them only is not.
func union(a, b []verdict.Change) []verdict.Change {
	all := slices.Concat(a, b)
	for i, c := range all {
		all[i].Spent = c.Spent && !slices.ContainsFunc(all, func(other verdict.Change) bool { return verdict.CompareChanges(c, other) == 0 && !other.Spent })
	}
	slices.SortStableFunc(all, verdict.CompareChanges)
	return slices.CompactFunc(all, func(a, b verdict.Change) bool {
		return a.Part == b.Part && a.Path == b.Path && same(a.From, b.From) && same(a.To, b.To) && a.Unstable == b.Unstable
	})
}

func same(a, b json.RawMessage) bool { return string(a) == string(b) }

func unionOfNames(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
