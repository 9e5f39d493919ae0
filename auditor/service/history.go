package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
)

const (
	// journalSuffix follows the auditor's name in the name of the ConfigMap, which is one of
	// its own, as others have no room for it.
	journalSuffix = "-journal"
	entriesKey    = "changes.json.gz" // a list of journal.Entry, the last that began first
	// mostJournal and mostJournalObjects bound what is kept: an entry has at most some seventy
	// objects, and as many braces in values.
	mostJournal        = 800 << 10
	mostEntryObjects   = 140
	mostJournalObjects = mostEntryObjects * journal.MostEntries
	aboutKey           = "about.json" // an aboutJournal
	// The journal is kept at most every journalPause, and where it says the same as before at
	// most every journalConfirm: then the next leader knows later until when it said so.
	journalPause   = time.Minute
	journalConfirm = time.Hour
)

// aboutJournal is what is kept besides the entries.
type aboutJournal struct {
	At      time.Time       `json:"at"` // when the last audit that asked began
	Earlier journal.Earlier `json:"earlier"`
}

// history keeps the journal of changes beyond an auditor's life. It may be used
// concurrently.
type history struct {
	objects corev1client.ConfigMapInterface
	name    string

	mu      sync.Mutex
	journal *journal.Journal
	loaded  bool      // what there was is known; before, nothing is written over it
	looked  time.Time // when it was tried to keep it
	kept    time.Time // when that succeeded
	says    [sha256.Size]byte
}

func newHistory(objects corev1client.ConfigMapInterface, name string) *history {
	return &history{objects: objects, name: name + journalSuffix, journal: &journal.Journal{}}
}

// load reads what an earlier leader kept, once. What is there and makes no sense begins anew;
// where the cluster does not answer, the next audit asks again.
func (h *history) load(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded {
		return nil
	}
	entries, about, err := readJournal(ctx, h.objects, h.name)
	_, corrupt := errors.AsType[*corruptError](err)
	switch {
	case err == nil:
		h.journal = journal.Restore(entries, about.Earlier, about.At)
	case apierrors.IsNotFound(err):
		err = nil
	case corrupt:
		err = fmt.Errorf("the journal of changes begins anew: %w", err)
	default:
		return fmt.Errorf("read the journal of changes: %w", err)
	}
	h.loaded = true
	return err
}

// corruptError is of a ConfigMap that holds no journal.
type corruptError struct{ error }

func (e *corruptError) Unwrap() error { return e.error }

// audited takes down what an audit found, and returns since when changes are open, by their
// IDs.
func (h *history) audited(a journal.Audit) map[string]journal.Interval {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.Observe(a)
	return h.journal.Since()
}

// whose returns whose changes open ones are, by their IDs, and unexplained since when those
// are of which nobody has looked yet.
func (h *history) whose() map[string]cause.Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Whose()
}

func (h *history) unexplained() map[string]journal.Interval {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.journal.Unexplained()
}

// explain takes down whose change it is that began then.
func (h *history) explain(id string, began journal.Interval, v cause.Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.Explain(id, began, v)
}

// entries are what is known of changes, the last that began first.
func (h *history) entries() []journal.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries, _ := h.journal.Entries()
	return entries
}

// keep saves, until ctx is done, what was found out too soon after it was last kept: the next
// audit may be long after.
func (h *history) keep(ctx context.Context, log logr.Logger) {
	ticker := time.NewTicker(journalPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := h.save(ctx, now); err != nil && ctx.Err() == nil {
				log.Error(err, "The history of changes is not kept")
			}
		}
	}
}

// save keeps it for the next leader, if it changed, unless it is too soon.
func (h *history) save(ctx context.Context, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loaded || now.Sub(h.looked) < journalPause {
		return nil
	}
	h.looked = now
	entries, earlier := h.journal.Entries()
	kept, err := fitting(entries)
	if err != nil {
		return fmt.Errorf("keep the journal of changes: %w", err)
	}
	list, err1 := encode(kept, mostJournal)
	about, err2 := json.Marshal(aboutJournal{h.journal.At(), earlier})
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("keep the journal of changes: %w", err)
	}
	says := sha256.Sum256(list)
	if says == h.says && now.Sub(h.kept) < journalConfirm {
		return nil
	}
	if err := keep(ctx, h.objects, h.name, map[string][]byte{entriesKey: list, aboutKey: about}); err != nil {
		return fmt.Errorf("keep the journal of changes: %w", err)
	}
	h.kept, h.says = now, says
	return nil
}

// fitting are the entries, the first of them first, that unfold takes: it counts braces, which
// values may have, too. One with too many of these is kept without what differs.
func fitting(entries []journal.Entry) ([]json.RawMessage, error) {
	var fit []json.RawMessage
	objects := 0
	for _, e := range entries {
		text, err := json.Marshal(e)
		if err == nil && bytes.Count(text, []byte("{")) > mostEntryObjects {
			e.Places = nil
			text, err = json.Marshal(e)
		}
		if err != nil {
			return nil, err
		}
		if n := bytes.Count(text, []byte("{")); objects+n <= mostJournalObjects {
			objects += n
			fit = append(fit, text)
		}
	}
	return fit, nil
}

func readJournal(ctx context.Context, objects corev1client.ConfigMapInterface, name string) (entries []journal.Entry, about aboutJournal, err error) {
	object, err := objects.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, about, err
	}
	if text, ok := object.BinaryData[aboutKey]; ok {
		err = json.Unmarshal(text, &about)
	}
	if text, ok := object.BinaryData[entriesKey]; ok {
		err = errors.Join(err, unfold(text, mostJournal, mostJournalObjects, &entries))
	}
	if err != nil {
		return nil, aboutJournal{}, &corruptError{fmt.Errorf("ConfigMap %s: %w", name, err)}
	}
	return entries, about, nil
}

// ReadHistory returns the changes that the auditor which is installed in a namespace has
// seen, the last that began first, and of which no more is known. The error says what to
// do.
func ReadHistory(ctx context.Context, client kubernetes.Interface, namespace string) ([]journal.Entry, journal.Earlier, error) {
	entries, about, err := readJournal(ctx, client.CoreV1().ConfigMaps(namespace), DefaultName+journalSuffix)
	switch {
	case apierrors.IsNotFound(err):
		err = fmt.Errorf("the auditor has not kept a journal in namespace %s: check that it runs (sidecar-drift doctor), or give --installation-namespace: %w", namespace, err)
	case apierrors.IsForbidden(err):
		err = fmt.Errorf("read the journal that the auditor keeps: %w; it takes the right to get that one ConfigMap", err)
	case err != nil:
		err = fmt.Errorf("read the journal that the auditor keeps: %w", err)
	}
	return entries, about.Earlier, err
}
