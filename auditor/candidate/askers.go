package candidate

import (
	"context"
	"fmt"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// Askers knows who the API server says that creates a Pod. It may be used concurrently.
type Askers struct {
	cluster kubernetes.Interface

	mu   sync.Mutex
	self user.Info // nil: not asked yet
}

// NewAskers returns those of a cluster.
func NewAskers(cluster kubernetes.Interface) *Askers { return &Askers{cluster: cluster} }

// Of returns who a dry run was made as, else the controller that creates such Pods, else
// whoever asks. The error is that of asking who that is.
func (a *Askers) Of(ctx context.Context, as, controller injection.Identity) (user.Info, error) {
	if as == (injection.Identity{}) {
		as = controller
	}
	if as != (injection.Identity{}) {
		return accountOf(as), nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.self != nil {
		return a.self, nil
	}
	review, err := a.cluster.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("who you are: %w", err)
	}
	me := review.Status.UserInfo
	info := &user.DefaultInfo{Name: me.Username, UID: me.UID, Groups: me.Groups, Extra: map[string][]string{}}
	for key, values := range me.Extra {
		info.Extra[key] = values
	}
	a.self = info
	return info, nil
}

// accountOf has the groups that an API server gives to a ServiceAccount.
func accountOf(i injection.Identity) user.Info {
	namespace, _, err := serviceaccount.SplitUsername(i.User)
	if err != nil {
		return &user.DefaultInfo{Name: i.User, UID: i.UID, Groups: []string{user.AllAuthenticated}}
	}
	return &user.DefaultInfo{
		Name: i.User, UID: i.UID,
		Groups: append(serviceaccount.MakeGroupNames(namespace), user.AllAuthenticated),
	}
}
