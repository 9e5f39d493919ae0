package watch

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// shape sums up what was asked about a Pod, up to its own names.
type shape [16]byte

// shapes are the Pods of Jobs, and those without a controller, that were asked about and
// found in sync: new ones like them, which often live for less than a round, take the
// answer over that is known.
type shapes map[shape]shaped

type shaped struct {
	audit.Finding
	features []cover.Feature
	at       time.Time
}

// mostShapes bounds how many are kept.
const mostShapes = 4096

// shapeOf is the shape of what is submitted for a revision; the zero one where a new
// revision is asked about in any case.
func shapeOf(r inventory.Revision, submitted []byte) shape {
	if r.Owner != (inventory.Owner{}) && (r.Owner.Kind != "Job" || r.Owner.Group() != "batch") {
		return shape{}
	}
	var pairs []string
	for _, name := range []string{r.Owner.UID, r.Owner.Name, r.Name} {
		if name != "" {
			pairs = append(pairs, name, "\x00")
		}
	}
	sum := sha256.Sum256([]byte(r.Workload.Namespace + "\x00" + r.Workload.Kind + "\x00" + r.Owner.Kind + "\x00" + strings.NewReplacer(pairs...).Replace(string(submitted))))
	return shape(sum[:16])
}

// keep takes a finding down for others of its shape, if it is in sync.
func (s shapes) keep(of shape, f audit.Finding, features []cover.Feature) {
	if of == (shape{}) {
		return
	}
	delete(s, of)
	if state := f.Revision.State; f.Judged == nil || f.Restless || state != verdict.InSync && state != verdict.NotInjected {
		return
	}
	if len(s) >= mostShapes {
		clear(s)
	}
	f.Submitted, f.Differs, f.Answer = nil, nil, jsontree.Node{}
	f.DropPods()
	s[of] = shaped{f, features, time.Now()}
}

// forget drops what was asked about longer ago than that.
func (s shapes) forget(age time.Duration) {
	for shape, known := range s {
		if time.Since(known.at) >= age {
			delete(s, shape)
		}
	}
}

// shaped returns the finding of a newcomer whose shape is known and whose Pods are like
// those that were in sync.
func (q *questions) shaped(r inventory.Revision, of shape, f audit.Finding) (audit.Finding, bool) {
	if !q.newcomers[r.Key] || of == (shape{}) {
		return f, false
	}
	known, has := q.shapes[of]
	if !has {
		return f, false
	}
	g, judged := known.Recount(q.opts.OfSidecars(r.Pods, known.Named))
	if state := g.Revision.State; !judged || state != verdict.InSync && state != verdict.NotInjected {
		return f, false
	}
	g.Workload, g.Group, g.AskedAs, g.Submitted, g.TakenOver = f.Workload, f.Group, f.AskedAs, f.Submitted, known.at
	g.Revision.Name, g.Revision.AskedAs = f.Revision.Name, f.Revision.AskedAs
	return g, true
}
