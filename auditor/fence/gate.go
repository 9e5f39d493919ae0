package fence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

const (
	// firstPause is how long a policy that was applied a moment ago is given;
	// pauses double, up to longestPause.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// answerTimeout bounds one attempt.
	answerTimeout = 30 * time.Second
)

// Gate keeps a process from acting until the fence is in force for the identity
// that it runs as. Whoever is no ServiceAccount passes with a warning: people have
// their own rights.
type Gate struct {
	client   kubernetes.Interface
	rollsOut bool // from the start
	log      logr.Logger

	open chan struct{} // closed once it is

	mu     sync.Mutex
	why    error // that it is not open yet
	proven bool  // that RolloutOnly is in force, or need not be
	// namespace of the ServiceAccount; empty for people.
	namespace string
}

// NewGate returns a closed gate. With rollsOut it opens only where rollouts are
// fenced, too.
func NewGate(client kubernetes.Interface, rollsOut bool, log logr.Logger) *Gate {
	return &Gate{client: client, rollsOut: rollsOut, log: log, open: make(chan struct{}), why: errors.New("the fence has not been looked at yet")}
}

// NeedLeaderElection is manager.LeaderElectionRunnable's: every replica is ready
// only behind the fence.
func (g *Gate) NeedLeaderElection() bool { return false }

// Start asks until the fence is in force, or ctx is done.
func (g *Gate) Start(ctx context.Context) error {
	pause, said := firstPause, ""
	for {
		err := g.prove(ctx)
		switch {
		case err == nil:
			close(g.open)
			return nil
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of the process is no error
		}
		g.closed(err)
		if said != err.Error() {
			said = err.Error()
			g.log.Error(err, "Nothing is audited until the admission policies are in force for this identity",
				"remedy", "apply manifests/base/dry-run-only-policy.yaml and rollout-only-policy.yaml, and policy.yaml of components/controller-identity with that; sidecar-drift doctor --probe-policy says more")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

func (g *Gate) closed(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = why
}

// Ready is a healthz.Checker: an error while the gate is closed.
func (g *Gate) Ready(*http.Request) error {
	select {
	case <-g.open:
		return nil
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// Wait returns nil once the gate is open, and else the context's error.
func (g *Gate) Wait(ctx context.Context) error {
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gate) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	user, err := g.who(ctx)
	if err != nil {
		return err
	}
	if g.namespace == "" {
		g.log.Info("Not run as a ServiceAccount: what the fence forbids may be allowed to this identity", "user", user)
		return nil
	}
	if err := ProveDryRunOnly(ctx, g.client, g.namespace); err != nil {
		return err
	}
	if err := g.proveControllers(ctx); err != nil {
		return err
	}
	if g.rollsOut {
		return g.ProveRollouts(ctx)
	}
	return nil
}

// ProveRollouts returns nil if rollouts by this process are fenced, or those of a
// person. Once they were, it is not asked again. It is for after Wait.
func (g *Gate) ProveRollouts(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proven || g.namespace == "" {
		return nil
	}
	if err := ProveRolloutOnly(ctx, g.client, g.namespace); err != nil {
		return err
	}
	g.proven = true
	return nil
}

// proveControllers proves the fence of each controller that the identity may be.
func (g *Gate) proveControllers(ctx context.Context) error {
	identities, err := injection.NewIdentities(g.client.CoreV1().RESTClient(), &rest.Config{}, injection.Auto, g.ProveController)
	if err != nil {
		return err
	}
	_, err = identities.All(ctx)
	return err
}

// ProveController proves that the identity, as a user that it may impersonate, is kept
// to dry runs. That right may have been given since the start.
func (g *Gate) ProveController(ctx context.Context, user string) error {
	g.mu.Lock()
	namespace := g.namespace
	g.mu.Unlock()
	if namespace == "" {
		return nil
	}
	err := ProveControllerIdentity(ctx, g.client, namespace, user)
	if err != nil {
		g.log.Error(err, "Dry runs are not made as a controller", "user", user)
	}
	return err
}

// who asks as whom the process runs, and takes down the namespace of a
// ServiceAccount.
func (g *Gate) who(ctx context.Context) (user string, err error) {
	review, err := g.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the API server who this is: %w", err)
	}
	user = review.Status.UserInfo.Username
	g.mu.Lock()
	defer g.mu.Unlock()
	g.namespace = namespaceOf(user)
	return user, nil
}

// namespaceOf is that of a ServiceAccount, by its user name
// (system:serviceaccount:NAMESPACE:NAME); empty for other users.
func namespaceOf(user string) string {
	parts := strings.Split(user, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" {
		return ""
	}
	return parts[2]
}
