package injection

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// ErrUnowned is a Pod that does not say what its creator asked for.
var ErrUnowned = errors.New("its managedFields do not say what its creator asked for, and no template is known")

// Reconstruct returns the Pod, as JSON, that the creator of a live Pod must have
// submitted, by the fields that managedFields says it owns. It is an
// approximation: values that admission rewrote, and changes made since, are the
// live ones, but for what Istio's injector rewrote and keeps. Where ownership is
// lost the error is [ErrUnowned].
//
// A Pod that was created with a name needs another one, which must be free even
// in a dry run: attempts give different ones, all with the live one in front.
func Reconstruct(live jsontree.Node, owner inventory.Owner, attempt int) ([]byte, error) {
	owned, err := ownedOf(live)
	if err != nil {
		return nil, err
	}
	metadata := live.Get("metadata")
	r := reconstruction{podspec.NewView(live)}
	p := pod{
		APIVersion: "v1", Kind: "Pod",
		Metadata: metav1.ObjectMeta{
			GenerateName: metadata.Get("generateName").String(),
			Namespace:    metadata.Get("namespace").String(),
			Labels:       r.texts(metadata.Get("labels"), owned),
			Annotations:  r.texts(metadata.Get("annotations"), owned),
		},
	}
	if p.Metadata.GenerateName == "" {
		p.Metadata.Name = freeName(metadata.Get("name").String(), attempt)
	}
	if owner != (inventory.Owner{}) {
		p.Metadata.OwnerReferences = []metav1.OwnerReference{controllerRef(owner)}
	}
	p.Spec = r.spec(live.Get("spec"), owned.Field([]byte("spec")))
	p.restore(live)
	return json.Marshal(p)
}

// SubmittedSpec returns the spec that the creator of a Pod must have submitted, with the
// defaults that the API server filled in, as far as managedFields tells: [Reconstruct] says
// what that is worth.
func SubmittedSpec(pod jsontree.Node) ([]byte, error) {
	owned, err := ownedOf(pod)
	if err != nil {
		return nil, err
	}
	r := reconstruction{podspec.NewView(pod)}
	return r.spec(pod.Get("spec"), owned.Field([]byte("spec"))), nil
}

// ownedOf are the fields that somebody owns of a Pod that says so of its containers.
func ownedOf(pod jsontree.Node) (podspec.Fields, error) {
	managers, err := podspec.Managers(pod)
	if err != nil {
		return podspec.Fields{}, fmt.Errorf("live Pod: %w", err)
	}
	owned := podspec.Union(managers)
	if owned.Field([]byte("spec")).Field([]byte("containers")).Empty() {
		return podspec.Fields{}, ErrUnowned
	}
	return owned, nil
}

func freeName(name string, attempt int) string {
	suffix := fmt.Sprintf("-fresh-%d", attempt)
	return name[:min(len(name), maxPodName-len(suffix))] + suffix
}

// reconstruction leaves what nobody owns out of a Pod. What is owned of many members
// is looked up: each would else be searched for among all.
type reconstruction struct{ view *podspec.View }

// texts returns the owned entries of a Pod's labels or annotations.
func (r reconstruction) texts(entries jsontree.Node, owned podspec.Fields) map[string]string {
	texts := map[string]string{}
	set := r.view.Lookup(owned.Field([]byte("metadata")).Field(entries.Name()), nil)
	defer r.view.Release(set)
	for entry := range entries.Children() {
		if set.Field(entry.Name()).Has() {
			texts[string(entry.Name())] = entry.String()
		}
	}
	return texts
}

func (r reconstruction) spec(spec jsontree.Node, owned podspec.Fields) []byte {
	var fields []podspec.Member
	for field := range spec.Children() {
		// Ephemeral containers cannot be created with a Pod.
		if name := field.Name(); string(name) != "ephemeralContainers" {
			fields = append(fields, podspec.Member{Key: name, Node: field, Field: name})
		}
	}
	below := r.view.Lookup(owned, nil)
	defer r.view.Release(below)
	return r.object(nil, fields, below)
}

// value appends the owned part of a value, of which something is owned.
func (r reconstruction) value(dst []byte, m podspec.Member, owned podspec.Fields) []byte {
	members, structured := r.view.Members(nil, m)
	if !structured {
		return append(dst, m.Node.Raw()...)
	}
	below := r.view.Lookup(owned, m.Field)
	defer r.view.Release(below)
	if !anyOwned(members, below) {
		// Either an atomic map, owned as a whole, or an empty one that was
		// injected into.
		if _, injected := r.view.AppendInjected(nil, m, owned); !injected {
			return append(dst, m.Node.Raw()...)
		}
	}
	if m.Node.Kind() == jsontree.Array {
		return r.array(dst, inOrder(m.Node, members), below)
	}
	return r.object(dst, members, below)
}

func anyOwned(members []podspec.Member, owned podspec.Lookup) bool {
	for _, m := range members {
		if !owned.Member(m).Empty() {
			return true
		}
	}
	return false
}

func (r reconstruction) object(dst []byte, members []podspec.Member, owned podspec.Lookup) []byte {
	dst = append(dst, '{')
	first := true
	for _, m := range members {
		below := owned.Field(m.Key)
		if below.Empty() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendQuoted(dst, m.Key)
		dst = r.value(append(dst, ':'), m, below)
	}
	return append(dst, '}')
}

// inOrder puts the items of a list back into the order that they have in it.
func inOrder(list jsontree.Node, items []podspec.Member) []podspec.Member {
	position := map[jsontree.Node]int{}
	for item := range list.Children() {
		position[item] = len(position)
	}
	slices.SortFunc(items, func(a, b podspec.Member) int {
		return cmp.Compare(position[a.Node], position[b.Node])
	})
	return items
}

// array appends the items that somebody owns: whoever only changed a field of
// an item does not.
func (r reconstruction) array(dst []byte, items []podspec.Member, owned podspec.Lookup) []byte {
	dst = append(dst, '[')
	first := true
	for _, m := range items {
		below := owned.Member(m)
		if !below.Has() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = r.value(dst, m, below)
	}
	return append(dst, ']')
}

// appendQuoted writes a name that was read from valid JSON.
func appendQuoted(dst, name []byte) []byte {
	quoted, err := jsontext.AppendQuote(dst, name)
	if err != nil {
		panic(err)
	}
	return quoted
}
