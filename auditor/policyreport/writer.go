// Package policyreport keeps what audits find in Reports of openreports.io.
package policyreport

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

const (
	// reportsPerSecond keeps a cluster of thousands of namespaces from being
	// written to all at once.
	reportsPerSecond = 10
	// reportsPage is how many Reports are read at a time; one may take 200 KB.
	reportsPage = 50
	// enoughFailures in a row say that the other Reports will fare no better.
	enoughFailures = 5
	// installation is the MutatingWebhookConfiguration that owns the Reports.
	installation = "zz-sidecar-drift"
	// managedBy is the value of report.ManagedByLabel that makes a Report ours.
	managedBy = "sidecar-drift"
)

// Writer keeps what audits find in Reports of openreports.io. It writes beside
// further audits, at a pace of its own, and always the latest.
type Writer struct {
	client client.Client
	log    logr.Logger
	woken  chan struct{} // holds one

	mu         sync.Mutex
	found      *report.Report // nil once it is being written
	everything bool           // found is, or stands for, an audit of everything

	// What the cluster has of ours, as of the last look; nil if that is not known.
	stored map[types.NamespacedName]stored
	owners []metav1.OwnerReference
	// What the log says already: why nothing is written, and what is somebody
	// else's.
	idle string
	left map[types.NamespacedName]bool
}

// stored is a Report that the cluster has.
type stored struct {
	uid     types.UID
	version string
	content [sha256.Size]byte
}

// New returns a Writer, which needs to Connect, and then to Start.
func New() *Writer {
	return &Writer{woken: make(chan struct{}, 1), left: map[types.NamespacedName]bool{}}
}

// Connect makes the Writer ready to be started.
func (r *Writer) Connect(cluster *rest.Config, mgr manager.Manager, log logr.Logger) error {
	scheme := runtime.NewScheme()
	if err := openreports.Install(scheme); err != nil {
		return err
	}
	cluster = rest.CopyConfig(cluster)
	cluster.QPS, cluster.Burst = reportsPerSecond, reportsPerSecond
	var err error
	r.client, err = client.New(cluster, client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme, Mapper: mgr.GetRESTMapper()})
	r.log = log.WithName("policyreports")
	return err
}

// Audited has a report written, in place of one that waits for it.
func (r *Writer) Audited(found *report.Report, everything bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found, r.everything = found, r.everything || everything
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

func (r *Writer) take() (found *report.Report, everything bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, everything = r.found, r.everything
	r.found, r.everything = nil, false
	return found, everything
}

// Start writes until ctx is done. What fails is said in the log, and is tried
// again after the next audit.
func (r *Writer) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.woken:
		}
		found, everything := r.take()
		if found == nil {
			continue // it came while the one before was being taken
		}
		if err := r.write(ctx, found, everything); err != nil && ctx.Err() == nil {
			r.stored = nil
			r.log.Error(err, "Not every policy report is up to date; the next audit tries again")
		}
	}
}

// write brings the Reports up to date. After an audit of everything it looks at
// what the cluster has: others may have changed it.
func (r *Writer) write(ctx context.Context, found *report.Report, everything bool) error {
	if everything || r.stored == nil {
		why, err := r.read(ctx)
		if err != nil {
			return err
		}
		if why != "" && why != r.idle {
			r.log.Info("Policy reports are not written: " + why)
		}
		if r.idle = why; why != "" {
			r.stored = nil
			return nil
		}
	}
	wanted := wantedReports(found, r.owners)
	written, err := r.putAll(ctx, wanted, everything)
	removed := 0
	for _, key := range leftOver(r.stored, wanted) {
		if removeErr := r.remove(ctx, key); removeErr != nil {
			err = errors.Join(err, removeErr)
			break
		}
		removed++
	}
	if written+removed > 0 {
		r.log.Info("Brought policy reports up to date", "written", written, "removed", removed)
	}
	return err
}

// putAll writes what is not stored as it should be, and returns how many it wrote.
func (r *Writer) putAll(ctx context.Context, wanted []openreports.Report, everything bool) (written int, err error) {
	failed, inARow := 0, 0
	for i := range wanted {
		key := client.ObjectKeyFromObject(&wanted[i])
		if has, ok := r.stored[key]; ok && has.content == contentOf(&wanted[i]) || r.left[key] && !everything {
			continue
		}
		done, putErr := r.put(ctx, key, &wanted[i])
		switch {
		case putErr != nil:
			failed++
			inARow++
			err = fmt.Errorf("%d policy reports could not be written, the last: %w", failed, putErr)
			if inARow == enoughFailures {
				return written, err
			}
			continue
		case done:
			written++
		}
		inARow = 0
	}
	return written, err
}

// Why nothing is to be written.
const (
	kindUnknown = "the cluster does not know the kind Report of openreports.io/v1alpha1; " +
		"install its definition (github.com/openreports/reports-api, config/crd): a later round finds it"
	uninstalled = "their owner, MutatingWebhookConfiguration " + installation + ", is gone, as when the product is uninstalled"
)

// read takes down what the cluster has of ours, and who is to own it. It says why
// nothing is to be written, if so.
func (r *Writer) read(ctx context.Context) (why string, err error) {
	found := map[types.NamespacedName]stored{}
	list := &openreports.ReportList{}
	for {
		err := r.client.List(ctx, list, client.MatchingLabels{report.ManagedByLabel: managedBy},
			client.Limit(reportsPage), client.Continue(list.Continue))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return kindUnknown, nil
		}
		if err != nil {
			return "", fmt.Errorf("list policy reports: %w", err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			found[client.ObjectKeyFromObject(o)] = storedAs(o)
		}
		if list.Continue == "" {
			break
		}
	}
	owner := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{
		APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration",
	}}
	switch err := r.client.Get(ctx, client.ObjectKey{Name: installation}, owner); {
	case err == nil:
		r.owners = []metav1.OwnerReference{{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID,
		}}
	case !apierrors.IsNotFound(err):
		return "", fmt.Errorf("look for the policy reports' owner: %w", err)
	case len(r.owners) > 0:
		return uninstalled, nil
	}
	r.stored = found
	return "", nil
}

// put creates a Report, or has it take the place of the one that is stored. A
// namespace that is going needs none, and what somebody else has made, or is just
// changing, stays as it is: put is not done then.
func (r *Writer) put(ctx context.Context, key types.NamespacedName, wanted *openreports.Report) (done bool, err error) {
	if has, ok := r.stored[key]; ok {
		wanted.ResourceVersion = has.version
		err = r.client.Update(ctx, wanted)
	} else {
		err = r.client.Create(ctx, wanted)
	}
	if err == nil {
		r.stored[key] = storedAs(wanted)
		delete(r.left, key)
		return true, nil
	}
	delete(r.stored, key)
	switch {
	case apierrors.IsAlreadyExists(err):
		if !r.left[key] {
			r.log.Info("A Report of this name is somebody else's and is left alone: it does not carry the label "+
				report.ManagedByLabel+": "+managedBy, "namespace", key.Namespace, "name", key.Name)
		}
		r.left[key] = true
		return false, nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, nil
	}
	return false, fmt.Errorf("write Report %s: %w", key, err)
}

// remove deletes a Report, if it still is what was read.
func (r *Writer) remove(ctx context.Context, key types.NamespacedName) error {
	has := r.stored[key]
	err := r.client.Delete(ctx, &openreports.Report{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}},
		client.Preconditions{UID: &has.uid, ResourceVersion: &has.version})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete Report %s: %w", key, err)
	}
	delete(r.stored, key)
	return nil
}

// wantedReports are the Reports of what was found, without secrets and without
// what differs each time that the same is found.
func wantedReports(found *report.Report, owners []metav1.OwnerReference) []openreports.Report {
	// Masks that differ from one process to the next would have every Report written
	// again by each.
	masked := found.Masked(mask.Constant())
	for _, item := range masked.Items() {
		for i := range item.Revisions { // which Masked has copied
			item.Revisions[i].Reason = withoutGeneratedNames(item.Revisions[i].Reason, item.Name, item.Revisions[i].Name)
		}
	}
	wanted := masked.OpenReports()
	for i := range wanted {
		wanted[i].OwnerReferences = owners
	}
	return wanted
}

// generatedEnd is what an API server puts behind a generateName:
// k8s.io/apimachinery/pkg/util/rand.String of five characters.
const generatedEnd = `-[bcdfghjklmnpqrstvwxz2456789]{5}\b`

// withoutGeneratedNames has refusals name no Pod: a dry run's has another name
// each time.
func withoutGeneratedNames(reason string, prefixes ...string) string {
	for _, prefix := range prefixes {
		if strings.Contains(reason, prefix+"-") {
			reason = regexp.MustCompile(regexp.QuoteMeta(prefix)+generatedEnd).ReplaceAllString(reason, prefix+"-*")
		}
	}
	return reason
}

// leftOver are the stored Reports that nothing was found for any more, sorted.
func leftOver(has map[types.NamespacedName]stored, wanted []openreports.Report) []types.NamespacedName {
	rest := maps.Clone(has)
	for i := range wanted {
		delete(rest, client.ObjectKeyFromObject(&wanted[i]))
	}
	return slices.SortedFunc(maps.Keys(rest), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
}

func storedAs(o *openreports.Report) stored {
	return stored{uid: o.UID, version: o.ResourceVersion, content: contentOf(o)}
}

// contentOf identifies what a Report says and whose it is, but for when it was
// found.
func contentOf(o *openreports.Report) [sha256.Size]byte {
	results := slices.Clone(o.Results)
	for i := range results {
		results[i].Timestamp = metav1.Timestamp{}
	}
	text, err := json.Marshal([]any{o.OwnerReferences, o.Source, o.Summary, results})
	if err != nil {
		return [sha256.Size]byte{} // cannot be: these are texts and numbers
	}
	return sha256.Sum256(text)
}
