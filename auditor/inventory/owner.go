package inventory

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Owner is a controller, as its dependents refer to it. Whoever may create a Pod
// may write anything into its reference, so nothing follows from one but where to
// look: see check and claim.
type Owner struct{ APIVersion, Kind, Name, UID string }

// Group is the API group; empty for the core's.
func (o Owner) Group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// String returns "ReplicaSet web-1", in quotes if it is no name of anything.
func (o Owner) String() string {
	if o.check() != nil {
		return fmt.Sprintf("%.40q %.80q", o.Kind, o.Name)
	}
	return o.Kind + " " + o.Name
}

// What the parts of a reference can be at most, in bytes. UIDs have 36 where the
// API server gave them.
const (
	maxAPIVersion = validation.DNS1123SubdomainMaxLength + len("/") + maxKind
	maxKind       = validation.DNS1035LabelMaxLength
	maxName       = validation.DNS1123SubdomainMaxLength
	maxUID        = 64
)

// check reports what keeps a reference from being to any object. The API server
// wants no more of it than that nothing is empty.
func (o Owner) check() error {
	gv, err := schema.ParseGroupVersion(o.APIVersion)
	switch {
	case err != nil || len(o.APIVersion) > maxAPIVersion:
		return errors.New("its apiVersion is none")
	case gv.Group != "" && len(validation.IsDNS1123Subdomain(gv.Group)) > 0, len(validation.IsDNS1035Label(gv.Version)) > 0:
		return errors.New("its apiVersion is none")
	case len(validation.IsDNS1035Label(strings.ToLower(o.Kind))) > 0: // as CustomResourceDefinitions' kinds
		return errors.New("its kind is no name of a kind")
	case len(o.Name) > maxName || len(content.IsPathSegmentName(o.Name)) > 0 || !printable(o.Name):
		return errors.New("its name is none that an object can have")
	case len(o.UID) > maxUID || !printable(o.UID):
		return errors.New("its uid is none")
	}
	return nil
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// claim is that objects of the namespace have this owner. Owners live in the
// namespace of their dependents.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
type claim struct {
	namespace string
	owner     ownerKey
}

// ownerKey tells owners apart: the version is one of several by which the same
// object is known.
type ownerKey struct{ group, kind, name, uid string }

func (o Owner) key() ownerKey { return ownerKey{o.Group(), o.Kind, o.Name, o.UID} }

// kind is what a person is shown: that of a group that has taken the name of one of
// Kubernetes' own kinds is told apart by the group, as kubectl does.
func (o Owner) kind() string {
	if known, ok := of(o.Kind); ok && !known.owns(o) {
		return o.Kind + "." + o.Group()
	}
	return o.Kind
}

// controllerOf returns the owner that controls the object, or the zero Owner. Of
// text that is too long to be valid no more is kept than shows it.
func controllerOf(metadata jsontree.Node) Owner {
	for owner := range metadata.Get("ownerReferences").Children() {
		if owner.Get("controller").Kind() == jsontree.True {
			return Owner{
				APIVersion: beginning(owner.Get("apiVersion"), maxAPIVersion),
				Kind:       beginning(owner.Get("kind"), maxKind),
				Name:       beginning(owner.Get("name"), maxName),
				UID:        beginning(owner.Get("uid"), maxUID),
			}
		}
	}
	return Owner{}
}

// beginning is a text of at most so many bytes, and one more of a longer one.
func beginning(text jsontree.Node, most int) string {
	value := text.Text()
	return string(value[:min(len(value), most+1)])
}
