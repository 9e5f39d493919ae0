package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Pod is what is kept of a live Pod.
type Pod struct {
	Name, UID string
	Started   time.Time // by the kubelet; zero if it has not been yet
	Digest    verdict.Digest
	// Stamp is the stamper's annotation; empty without one.
	Stamp string
	// Named: it has a container of Selection.SidecarNames.
	Named bool
	// JSON is the whole Pod as it was listed, kept of one Pod of each digest
	// and revision while there is memory for it; else nil.
	JSON []byte
}

// Owner is a controller, as its dependents refer to it.
type Owner struct{ APIVersion, Kind, Name, UID string }

func (o Owner) group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Labels and annotations that say how a Pod came to be.
const (
	revisionLabel    = "controller-revision-hash"
	completionIndex  = "batch.kubernetes.io/job-completion-index"
	mirrorAnnotation = "kubernetes.io/config.mirror"
)

// record is what is read of a Pod before it is grouped.
type record struct {
	Pod
	namespace string
	owner     Owner  // zero: none
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
		return record{}, fmt.Errorf("a Pod: %w", err)
	}
	return s.record(pod)
}

// record shares no memory with the Pod's JSON.
func (s Selection) record(pod jsontree.Node) (record, error) {
	metadata := pod.Get("metadata")
	labels, annotations := metadata.Get("labels"), metadata.Get("annotations")
	r := record{
		Pod: Pod{
			Name:  metadata.Get("name").String(),
			UID:   metadata.Get("uid").String(),
			Stamp: annotations.Get(fingerprint.StampAnnotation).String(),
			Named: s.named(pod.Get("spec")),
		},
		namespace: metadata.Get("namespace").String(),
		owner:     controllerOf(metadata),
		revision:  labels.Get(revisionLabel).String(),
		index:     labels.Get(completionIndex).String(),
		judged:    live(pod),
	}
	var err error
	if r.Started, err = startTime(pod); err == nil && r.judged {
		r.Digest, err = verdict.DigestOf(pod)
	}
	r.selected = s.started(r.Started)
	if err != nil {
		return record{}, fmt.Errorf("Pod %s/%s: %w", r.namespace, r.Name, err)
	}
	return r, nil
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
	return !pod.Get("metadata", "deletionTimestamp").Exists() &&
		!pod.Get("metadata", "annotations", mirrorAnnotation).Exists()
}

func (s Selection) named(spec jsontree.Node) bool {
	if len(s.SidecarNames) == 0 {
		return false
	}
	for _, list := range []string{"containers", "initContainers"} {
		for container := range spec.Get(list).Children() {
			if slices.Contains(s.SidecarNames, string(container.Get("name").Text())) {
				return true
			}
		}
	}
	return false
}

// controllerOf returns the owner that controls the object, or the zero Owner.
func controllerOf(metadata jsontree.Node) Owner {
	for owner := range metadata.Get("ownerReferences").Children() {
		if owner.Get("controller").Kind() == jsontree.True {
			return Owner{
				APIVersion: owner.Get("apiVersion").String(),
				Kind:       owner.Get("kind").String(),
				Name:       owner.Get("name").String(),
				UID:        owner.Get("uid").String(),
			}
		}
	}
	return Owner{}
}
