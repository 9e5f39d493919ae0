package inventory

import (
	"fmt"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Pod is what is kept of a live Pod.
type Pod struct {
	Name, UID string
	Started   time.Time // by the kubelet; zero if it has not been yet
	Created   int64     // by the API server's clock, in seconds of the Unix epoch; 0: not known
	Alike
	// Stamp is the stamper's annotation; empty without one.
	Stamp string
	// Initialized: its init containers have ended, but for native sidecars.
	Initialized bool
	// Named: it has a container of Selection.WithContainers.
	Named bool
	// Size is the number of bytes of its JSON.
	Size int
	// JSON is the whole Pod as it was listed, kept of one Pod of each digest
	// and revision while there is memory for it; else nil.
	JSON []byte
}

// Alike is what Pods of one revision have in common that are judged alike.
type Alike struct {
	Digest verdict.Digest
	// Edits tells apart what later field managers hold of the spec: whether a field was
	// edited follows from that, and not from the field.
	Edits podspec.Edits
}

// Labels and annotations that say how a Pod came to be.
const (
	revisionLabel    = "controller-revision-hash"
	completionIndex  = "batch.kubernetes.io/job-completion-index"
	mirrorAnnotation = "kubernetes.io/config.mirror"
)

// maxStamp bounds what is kept of a stamp, which anybody may have written.
const maxStamp = 80

// record is what is read of a Pod before it is grouped.
type record struct {
	Pod
	namespace string
	owner     Owner  // zero: none
	doubt     string // why an owner that the Pod names is none
	broken    error  // why the Pod cannot be judged
	revision  string // as its controller labelled it
	index     string // of an Indexed Job's Pod
	// judged is false for Pods that are finished, being deleted or static.
	judged   bool
	selected bool
}

// readRecord reads a Pod. The record shares no memory with raw.
func (s Selection) readRecord(raw []byte) (record, error) {
	pod, err := jsontree.Parse(raw)
	if err != nil {
		return record{}, err
	}
	return s.record(pod), nil
}

// record shares no memory with the Pod's JSON.
func (s Selection) record(pod jsontree.Node) record {
	metadata := pod.Get("metadata")
	labels, annotations := metadata.Get("labels"), metadata.Get("annotations")
	r := record{
		Pod: Pod{
			Name:  metadata.Get("name").String(),
			UID:   metadata.Get("uid").String(),
			Stamp: beginning(annotations.Get(fingerprint.StampAnnotation), maxStamp),
			Named: s.named(pod.Get("spec")),
			Size:  len(pod.Raw()),

			Created: CreatedAt(pod), Initialized: verdict.Initialized(pod),
		},
		namespace: metadata.Get("namespace").String(),
		owner:     controllerOf(metadata),
		revision:  labels.Get(revisionLabel).String(),
		index:     labels.Get(completionIndex).String(),
		judged:    live(pod),
	}
	if r.Started, r.broken = startTime(pod); r.judged && r.broken == nil {
		r.Digest, r.broken = verdict.DigestOf(pod, s.Annotations...)
		r.Edits = podspec.EditsOf(pod)
	}
	r.selected = s.started(r.Started)
	switch err := r.owner.check(); {
	case r.broken != nil:
		r.owner = Owner{}
	case r.owner != Owner{} && err != nil:
		r.doubt, r.owner = doubtful(r.owner, err.Error()), Owner{}
	case ownsOthers(r.owner):
		r.doubt, r.owner = fmt.Sprintf("%s controls it, which has Pods of its own only through others: what it was made from is not known", r.owner), Owner{}
	}
	return r
}

// doubtful says that a reference is to no owner.
func doubtful(claimed Owner, why string) string {
	return fmt.Sprintf("it says that %s controls it, which does not hold: %s", claimed, why)
}

// CreatedAt returns when the API server says that it created an object, in seconds of
// the Unix epoch; 0 where it says nothing.
func CreatedAt(object jsontree.Node) int64 {
	at, err := time.Parse(time.RFC3339, object.Get("metadata", "creationTimestamp").String())
	if err != nil {
		return 0
	}
	return at.Unix()
}

func startTime(pod jsontree.Node) (time.Time, error) {
	at := pod.Get("status", "startTime")
	if at.Kind() != jsontree.String {
		return time.Time{}, nil
	}
	start, err := time.Parse(time.RFC3339, at.String())
	if err != nil {
		return time.Time{}, fmt.Errorf("status.startTime: %w", err)
	}
	return start, nil
}

func live(pod jsontree.Node) bool {
	switch string(pod.Get("status", "phase").Text()) {
	case "Succeeded", "Failed":
		return false
	}
	return !pod.Get("metadata", "deletionTimestamp").Exists() && !mirror(pod)
}

// mirror reports whether the Pod stands for a static one: its node's kubelet makes
// the node its owner, where the annotation alone is anybody's.
// https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
func mirror(pod jsontree.Node) bool {
	metadata := pod.Get("metadata")
	owner, node := controllerOf(metadata), pod.Get("spec", "nodeName").Text()
	return metadata.Get("annotations", mirrorAnnotation).Exists() &&
		owner.APIVersion == "v1" && owner.Kind == "Node" && owner.Name == string(node)
}

func (s Selection) named(spec jsontree.Node) bool {
	if len(s.WithContainers) == 0 {
		return false
	}
	for _, list := range []string{"containers", "initContainers"} {
		for container := range spec.Get(list).Children() {
			if slices.Contains(s.WithContainers, string(container.Get("name").Text())) {
				return true
			}
		}
	}
	return false
}

// Alikes parts Pods into those that are alike, in the order of the first of
// each.
func Alikes(pods []Pod) [][]Pod {
	var alike [][]Pod
	index := map[Alike]int{}
	for _, pod := range pods {
		at, ok := index[pod.Alike]
		if !ok {
			at = len(alike)
			index[pod.Alike] = at
			alike = append(alike, nil)
		}
		alike[at] = append(alike[at], pod)
	}
	return alike
}
