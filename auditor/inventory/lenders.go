package inventory

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

var (
	serviceAccounts = resource{"", "v1", "serviceaccounts", "ServiceAccount"}
	namespaceKind   = resource{"", "v1", "namespaces", "Namespace"}
)

// ReadAccount returns the pull secrets that a ServiceAccount lends to Pods. The API server
// sees to it that there is one, and a Pod without it cannot be created: nil is one that has
// gone since.
func ReadAccount(ctx context.Context, client rest.Interface, namespace, name string) (*verdict.Lender, error) {
	object, err := getObject(ctx, client, serviceAccounts, namespace, name)
	if err != nil || !object.Exists() {
		return nil, err
	}
	return accountLends(object)
}

func accountLends(account jsontree.Node) (*verdict.Lender, error) {
	lent := &verdict.Lender{}
	for secret := range account.Get("imagePullSecrets").Children() {
		lent.Items = append(lent.Items, secret.Get("name").String())
	}
	var err error
	if len(lent.Items) > 0 {
		lent.Since, err = lastSet(account, "imagePullSecrets")
	}
	return lent, err
}

// Annotations of namespaces from which plugins take what they give to Pods:
// plugin/pkg/admission/podnodeselector and podtolerationrestriction of k8s.io/kubernetes,
// and OpenShift's scheduling/nodeenv (github.com/openshift/kubernetes
// openshift-kube-apiserver/admission/scheduler/nodeenv).
const (
	selectorAnnotation    = "scheduler.alpha.kubernetes.io/node-selector"
	selectorOfOpenShift   = "openshift.io/node-selector"
	tolerationsAnnotation = "scheduler.alpha.kubernetes.io/defaultTolerations"
	// projectAnnotations are on every project of OpenShift.
	projectAnnotations = "openshift.io/sa.scc."
)

// ReadNamespace returns the node selector and the tolerations that a namespace lends to
// Pods. In a project of OpenShift that says nothing, all of the cluster is asked for a
// selector, which an audit may not read: nil.
func ReadNamespace(ctx context.Context, client rest.Interface, name string) (selector, tolerations *verdict.Lender, err error) {
	object, err := getObject(ctx, client, namespaceKind, "", name)
	if err != nil || !object.Exists() {
		return nil, nil, err
	}
	return namespaceLends(object)
}

func namespaceLends(namespace jsontree.Node) (selector, tolerations *verdict.Lender, err error) {
	annotations := namespace.Get("metadata", "annotations")
	selector, tolerations = &verdict.Lender{}, &verdict.Lender{}
	for _, annotation := range []string{selectorAnnotation, selectorOfOpenShift} {
		set, err := labels.ConvertSelectorToLabelsMap(annotations.Get(annotation).String())
		if err != nil || len(set) == 0 {
			continue // with what is no selector no Pod can be created
		}
		for key, value := range set {
			selector.Items = append(selector.Items, key+"="+value)
		}
		since, err := lastSet(namespace, "metadata", "annotations", annotation)
		if err != nil {
			return nil, nil, err
		}
		selector.Since = max(selector.Since, since)
	}
	if !annotations.Get(selectorOfOpenShift).Exists() && isProject(annotations) {
		selector = nil
	}
	if list, err := jsontree.Parse(annotations.Get(tolerationsAnnotation).Text()); err == nil {
		for toleration := range list.Children() {
			tolerations.Items = append(tolerations.Items, string(toleration.Raw()))
		}
	}
	if len(tolerations.Items) > 0 {
		tolerations.Since, err = lastSet(namespace, "metadata", "annotations", tolerationsAnnotation)
	}
	return selector, tolerations, err
}

func isProject(annotations jsontree.Node) bool {
	for annotation := range annotations.Children() {
		if strings.HasPrefix(string(annotation.Name()), projectAnnotations) {
			return true
		}
	}
	return false
}

// lastSet returns when a field of an object was set last, in seconds of the Unix epoch, by
// the latest of the managers that hold it, each of which may have set something else then;
// 0 if that is not known.
func lastSet(object jsontree.Node, path ...string) (int64, error) {
	managers, err := podspec.Managers(object)
	if err != nil {
		return 0, err
	}
	last := int64(0)
	for _, m := range managers {
		held := podspec.Union([]podspec.Manager{m})
		for _, field := range path {
			held = held.Field([]byte(field))
		}
		if held.Empty() {
			continue
		}
		at, err := time.Parse(time.RFC3339, m.Time)
		if err != nil {
			return 0, nil //nolint:nilerr // not known
		}
		last = max(last, at.Unix())
	}
	return last, nil
}

// getObject returns the zero Node if there is no such object.
func getObject(ctx context.Context, client rest.Interface, r resource, namespace, name string) (jsontree.Node, error) {
	raw, err := get(ctx, client, r, namespace, name)
	if apierrors.IsNotFound(err) {
		return jsontree.Node{}, nil
	}
	if err != nil {
		return jsontree.Node{}, err
	}
	object, err := jsontree.Parse(raw)
	if err != nil {
		return jsontree.Node{}, fmt.Errorf("%s %s/%s: %w", r.kind, namespace, name, err)
	}
	return object, nil
}
