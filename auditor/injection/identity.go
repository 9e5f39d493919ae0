package injection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// DryRunAs says as whom dry runs are made: webhooks, policies and admission plugins
// may answer a Pod's controller otherwise than anybody else.
type DryRunAs string

// The ways to ask.
const (
	// Auto is Controller where the identity may impersonate the controller, else Self.
	Auto DryRunAs = "auto"
	// Controller asks as the controller that would create the Pod.
	Controller DryRunAs = "controller"
	// Self asks as the identity that audits.
	Self DryRunAs = "self"
)

// DryRunAsValues are all that there are.
var DryRunAsValues = []DryRunAs{Auto, Controller, Self}

// controllerNamespace is where the controllers' ServiceAccounts are.
const controllerNamespace = "kube-system"

// controllers are the ServiceAccounts that create the Pods of owners, by the owners'
// group and kind: those of a kube-controller-manager that runs with
// --use-service-account-credentials, as kubeadm and the clouds have it.
var controllers = func() map[schema.GroupKind]string {
	accounts := map[schema.GroupKind]string{{Kind: "ReplicationController"}: "replication-controller"}
	for _, k := range kind.All() {
		if k.Account != "" {
			accounts[schema.GroupKind{Group: k.Group, Kind: k.Name}] = k.Account
		}
	}
	return accounts
}()

// Identities knows as whom the Pods of owners can be asked about. Its methods may be
// called concurrently.
type Identities struct {
	client rest.Interface
	mode   DryRunAs
	fenced func(ctx context.Context, user string) error

	mu   sync.Mutex
	may  map[string]bool   // impersonate, by account
	uids map[string]string // of those accounts that may be impersonated with it; else empty

	accounts map[string]string // UIDs, whoever may be impersonated; empty where not readable
}

// Identity is as whom a dry run is made; the zero one is the identity that audits.
type Identity struct {
	User string
	// UID is the account's, by which some webhooks tell it (Dapr's); empty where the
	// identity may not impersonate that.
	UID string
}

// impersonate has a request made as the Identity. A ServiceAccount's groups follow from
// its name.
func (i Identity) impersonate(request *rest.Request) {
	if i.User != "" {
		request.SetHeader(transport.ImpersonateUserHeader, i.User)
	}
	if i.UID != "" {
		request.SetHeader(transport.ImpersonateUIDHeader, i.UID)
	}
}

// NewIdentities returns Identities for the client of the configuration. Who
// impersonates somebody already cannot impersonate a controller, too: Auto is Self
// then, and Controller an error. Before an identity is first used, fenced, unless it is
// nil, is asked whether it is kept to dry runs; its error has it not used.
func NewIdentities(client rest.Interface, cfg *rest.Config, mode DryRunAs, fenced func(ctx context.Context, user string) error) (*Identities, error) {
	nested := impersonates(cfg)
	switch {
	case nested && mode == Controller:
		return nil, errors.New("--dry-run-as controller and --as contradict each other: who is impersonated can impersonate nobody; leave one of the two out")
	case nested:
		mode = Self
	case mode == "":
		mode = Auto
	}
	return &Identities{client: client, mode: mode, fenced: fenced, may: map[string]bool{}, uids: map[string]string{}, accounts: map[string]string{}}, nil
}

func impersonates(cfg *rest.Config) bool {
	i := cfg.Impersonate
	return i.UserName != "" || i.UID != "" || len(i.Groups)+len(i.Extra) > 0
}

// Check fails if dry runs are to be made as controllers, and one of them may not be
// impersonated: all are asked about, so that what Pods there are decides nothing.
func (i *Identities) Check(ctx context.Context) error {
	if i.mode != Controller {
		return nil
	}
	for _, account := range slices.Sorted(maps.Values(controllers)) {
		may, err := i.mayBe(ctx, account)
		switch {
		case err != nil:
			return fmt.Errorf("--dry-run-as controller: whether %s may be impersonated: %w", userOf(account), err)
		case !may:
			return fmt.Errorf("--dry-run-as controller: you may not impersonate %s: ask as yourself (--dry-run-as self), "+
				"or see docs/install.md#asking-as-the-controller for what grants it", userOf(account))
		}
	}
	return nil
}

// For returns as whom to ask about the Pods of an owner: its controller, or the zero one
// for the identity itself, which it is, too, where the API server will not say whether the controller may be impersonated. An error is that it gave no
// answer: then nobody else's question is asked instead.
func (i *Identities) For(ctx context.Context, owner inventory.Owner) (Identity, error) {
	account := controllers[schema.GroupKind{Group: owner.Group(), Kind: owner.Kind}]
	if i.mode == Self || account == "" {
		return Identity{}, nil
	}
	may, err := i.mayBe(ctx, account)
	switch {
	case err != nil && !settled(err):
		return Identity{}, fmt.Errorf("whether %s may be impersonated: %w", userOf(account), err)
	case !may:
		return Identity{}, nil
	}
	uid, err := i.uid(ctx, account)
	if err != nil {
		return Identity{}, fmt.Errorf("whether %s may be impersonated by its UID: %w", userOf(account), err)
	}
	return Identity{userOf(account), uid}, nil
}

// uid returns the UID of an account that may be impersonated, if it may be with that,
// too: cluster administrators may, and no narrow right is enough. An error is that the
// API server gave no answer.
func (i *Identities) uid(ctx context.Context, account string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	uid, asked := i.uids[account]
	if asked {
		return uid, nil
	}
	uid, err := i.askUID(ctx, account)
	if err != nil && !settled(err) {
		return "", err
	}
	i.uids[account] = uid
	return uid, nil
}

func (i *Identities) askUID(ctx context.Context, account string) (string, error) {
	may, err := i.allowed(ctx, authorizationv1.ResourceAttributes{Verb: "impersonate", Group: "authentication.k8s.io", Version: "v1", Resource: "uids"})
	if !may || err != nil {
		return "", err
	}
	uid, err := i.accountUID(ctx, account)
	if err != nil {
		return "", err
	}
	if err := i.prove(ctx, Identity{userOf(account), uid}); err != nil {
		return "", err
	}
	return uid, nil
}

// accountUID reads the UID of an account.
func (i *Identities) accountUID(ctx context.Context, account string) (string, error) {
	raw, err := i.client.Get().AbsPath("/api/v1").Namespace(controllerNamespace).Resource("serviceaccounts").Name(account).Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	object, err := jsontree.Parse(raw)
	if err != nil {
		return "", err
	}
	return object.Get("metadata", "uid").String(), nil
}

// prove makes a request that creates nothing as somebody, which is Forbidden to who may
// not be that one.
func (i *Identities) prove(ctx context.Context, as Identity) error {
	request := i.client.Post().AbsPath("/api/v1").Namespace(controllerNamespace).Resource("pods").
		Param("dryRun", "All").
		SetHeader("Content-Type", "application/json").
		Body([]byte("{}"))
	as.impersonate(request)
	err := request.Do(ctx).Error()
	if err != nil && (!settled(err) || apierrors.IsForbidden(err)) {
		return err
	}
	return nil
}

// settled reports whether an error is an answer that would be the same another time.
func settled(err error) bool {
	status, answered := errors.AsType[*apierrors.StatusError](err)
	return answered && status.ErrStatus.Code < http.StatusInternalServerError && status.ErrStatus.Code != http.StatusTooManyRequests
}

func userOf(account string) string {
	return "system:serviceaccount:" + controllerNamespace + ":" + account
}

// mayBe reports whether an account may be impersonated. Each is asked about once.
func (i *Identities) mayBe(ctx context.Context, account string) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	may, asked := i.may[account]
	if asked {
		return may, nil
	}
	may, err := i.ask(ctx, account)
	if may && err == nil && i.fenced != nil {
		if err = i.fenced(ctx, userOf(account)); err != nil {
			return false, err // and it is asked again
		}
	}
	if err == nil {
		i.may[account] = may
	}
	return may, err
}

// All are the users that may be impersonated.
func (i *Identities) All(ctx context.Context) (users []string, err error) {
	for _, account := range slices.Sorted(maps.Values(controllers)) {
		may, err := i.mayBe(ctx, account)
		if err != nil {
			return nil, err
		}
		if may {
			users = append(users, userOf(account))
		}
	}
	return users, nil
}

// Controller returns the controller that creates the Pods of an owner, with its UID where that
// can be read, whoever may be impersonated; the zero one where none is known.
func (i *Identities) Controller(ctx context.Context, owner inventory.Owner) Identity {
	account := controllers[schema.GroupKind{Group: owner.Group(), Kind: owner.Kind}]
	if account == "" {
		return Identity{}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	uid, read := i.accounts[account]
	if !read {
		uid, _ = i.accountUID(ctx, account)
		i.accounts[account] = uid
	}
	return Identity{userOf(account), uid}
}

// Asked returns as whom dry runs were made: Controller if any was made so.
func (i *Identities) Asked() DryRunAs {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, may := range i.may {
		if may {
			return Controller
		}
	}
	return Self
}

// ask asks whether an account may be impersonated. Older API servers do not know the
// narrow rights, whatever RBAC says: what a request that creates nothing is answered
// tells.
func (i *Identities) ask(ctx context.Context, account string) (bool, error) {
	allowed, err := MayImpersonate(account, func(right authorizationv1.ResourceAttributes) (bool, error) { return i.allowed(ctx, right) })
	if !allowed || err != nil {
		return false, err
	}
	err = i.prove(ctx, Identity{User: userOf(account)})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil, err
}

// MayImpersonate reports whether who has the rights that allowed says may be an
// account of kube-system to create Pods: altogether, or, from Kubernetes 1.36 on, for
// that alone.
// https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/#constrained-impersonation
func MayImpersonate(account string, allowed func(authorizationv1.ResourceAttributes) (bool, error)) (bool, error) {
	impersonate := func(group, verb string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{
			Namespace: controllerNamespace, Verb: verb, Group: group, Version: "v1", Resource: "serviceaccounts", Name: account,
		}
	}
	if may, err := allowed(impersonate("", "impersonate")); may || err != nil {
		return may, err
	}
	for _, narrow := range []authorizationv1.ResourceAttributes{
		impersonate("authentication.k8s.io", "impersonate:serviceaccount"),
		{Verb: "impersonate-on:serviceaccount:create", Version: "v1", Resource: "pods"},
	} {
		if may, err := allowed(narrow); !may || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (i *Identities) allowed(ctx context.Context, what authorizationv1.ResourceAttributes) (bool, error) {
	body, err := json.Marshal(authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what},
	})
	if err != nil {
		return false, err
	}
	raw, err := i.client.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Raw()
	if err != nil {
		return false, err
	}
	var answer authorizationv1.SelfSubjectAccessReview
	if err := json.Unmarshal(raw, &answer); err != nil {
		return false, fmt.Errorf("SelfSubjectAccessReview: %w", err)
	}
	return answer.Status.Allowed, nil
}
