package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// judgePlaced judges with what the cluster says of those that set a Pod's placement besides
// webhooks. That is read only where a verdict depends on it, once an audit, and once more
// before something counts for it: the object may have changed between that and the dry run.
func (a *Audit) judgePlaced(ctx context.Context, namespace string, in verdict.Input) (verdict.Verdict, error) {
	in.Evidence = &verdict.Evidence{}
	v, err := verdict.Judge(in)
	if err != nil || len(lendersOf(v.Undecided)) == 0 {
		return v, err
	}
	account := in.Fresh.Get("spec", "serviceAccountName").String()
	ask, before := lendersOf(v.Undecided), len(v.Changes)+v.More
	for _, anew := range []bool{false, true} {
		evidence, known := a.lenders.evidence(ctx, a.client, namespace, account, ask, anew)
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		in.Evidence = evidence
		if v, err = verdict.Judge(in); err != nil || !known || len(v.Changes)+v.More == before {
			return v, err
		}
	}
	return v, nil
}

// Kinds of lenders.
const (
	ofAccount   = "ServiceAccount"
	ofNamespace = "Namespace"
)

// lendersOf says which kinds may have lent what differs; of a PriorityClass none is asked.
func lendersOf(undecided []verdict.Change) []string {
	var kinds []string
	for _, c := range undecided {
		switch field, _, _ := strings.Cut(strings.ReplaceAll(c.Path, "[", "."), "."); field {
		case "imagePullSecrets":
			kinds = append(kinds, ofAccount)
		case "nodeSelector", "tolerations":
			kinds = append(kinds, ofNamespace)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// lenders remembers for one audit what ServiceAccounts and namespaces lend to Pods.
type lenders struct {
	mu    sync.Mutex
	known map[lenderKey]*reading
	err   error // why one could not be read
}

type lenderKey struct{ kind, namespace, name string }

// readingHolds is how long what was read of a lender is as good as anew.
const readingHolds = 2 * time.Second

type reading struct {
	once sync.Once
	at   time.Time
	verdict.Evidence
}

// evidence asks the given kinds; known tells that some of it was read before.
func (l *lenders) evidence(ctx context.Context, client rest.Interface, namespace, account string, kinds []string, anew bool) (_ *verdict.Evidence, known bool) {
	all := &verdict.Evidence{}
	for _, kind := range kinds {
		key := lenderKey{kind: kind, namespace: namespace}
		if kind == ofAccount {
			key.name = account
		}
		r, old := l.reading(key, anew)
		known = known || old
		r.once.Do(func() {
			var err error
			if kind == ofAccount {
				r.PullSecrets, err = inventory.ReadAccount(ctx, client, namespace, account)
			} else {
				r.NodeSelector, r.Tolerations, err = inventory.ReadNamespace(ctx, client, namespace)
			}
			l.note(err)
		})
		if kind == ofAccount {
			all.PullSecrets = r.PullSecrets
		} else {
			all.NodeSelector, all.Tolerations = r.NodeSelector, r.Tolerations
		}
	}
	return all, known
}

func (l *lenders) reading(key lenderKey, anew bool) (_ *reading, old bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.known[key]; r != nil && (!anew || time.Since(r.at) < readingHolds) {
		return r, true
	}
	if l.known == nil {
		l.known = map[lenderKey]*reading{}
	}
	r := &reading{at: time.Now()}
	l.known[key] = r
	return r, false
}

func (l *lenders) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// unread says that one could not be read, where that matters; else nothing.
func (l *lenders) unread() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return ""
	}
	return "ServiceAccounts or namespaces could not be read, so that nothing is said of pull secrets, node selectors and tolerations that may be theirs: " + l.err.Error()
}

// undecided says how often placement differs of which nothing tells who set it; else
// nothing.
func undecided(items []report.Item) string {
	n := 0
	for _, item := range items {
		for _, revision := range item.Revisions {
			if len(revision.Undecided) > 0 {
				n++
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("Revisions whose Pods differ in placement that nobody is known to have set, which does not count (undecided in JSON): %d", n)
}
