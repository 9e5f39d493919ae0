package audit

import (
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// believedFor is how long what was read of a cluster around workloads holds for the next
// one that is audited by itself.
const believedFor = time.Minute

// Surroundings are what audits of one workload after the other, as a rollout has them,
// share of one cluster: what admission is made of, as whom may be asked, and autoscalers. It
// is read again after a minute. The zero value is ready to use, by audits at the same time, too.
type Surroundings struct {
	mu          sync.Mutex
	read        time.Time
	mode        injection.DryRunAs
	further     []inventory.AutoscalerKind
	as          *injection.Identities
	admission   *Admission
	autoscaling map[string]*autoscaling // by namespace
}

// around gives an audit what it shares with others; all its own where there is nobody to
// share with.
func (o Options) around(client rest.Interface, cfg *rest.Config) (*injection.Identities, *Admission, *autoscaling, error) {
	s := o.Surroundings
	if s == nil {
		as, err := injection.NewIdentities(client, cfg, o.DryRunAs, o.Fenced)
		return as, &Admission{}, &autoscaling{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.as != nil && s.mode == o.DryRunAs && reflect.DeepEqual(s.further, o.Autoscalers.Objects)
	if !same || time.Since(s.read) >= believedFor || s.admission.failed() {
		as, err := injection.NewIdentities(client, cfg, o.DryRunAs, o.Fenced)
		if err != nil {
			return nil, nil, nil, err
		}
		s.mode, s.further, s.read = o.DryRunAs, o.Autoscalers.Objects, time.Now()
		s.as, s.admission, s.autoscaling = as, &Admission{}, map[string]*autoscaling{}
	}
	sizes := s.autoscaling[o.Selection.Namespace]
	if sizes == nil {
		sizes = &autoscaling{}
		s.autoscaling[o.Selection.Namespace] = sizes
	}
	return s.as, s.admission, sizes, nil
}

// failed reports whether what admission is made of could not be read, for a reason that may
// have passed.
func (s *Admission) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil && !apierrors.IsForbidden(s.err)
}
