package podspec

import (
	"bytes"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// View is a Pod as admission is judged by: members in a canonical order, lists
// by their keys, defaults and noise left out. A View is for one goroutine.
type View struct {
	pod   jsontree.Node
	spec  jsontree.Node
	names names
	limit limited
	// ignored are resources ("requests/cpu") that Members leaves out.
	ignored map[string]bool
	// daemon: the DaemonSet controller pins the Pod to a node by affinity.
	daemon bool
	// hostNamed: the Pod's controller gives it its host name.
	hostNamed   bool
	merged      map[jsontree.Node]bool // requirements of label selectors
	hostNetwork bool
	containers  []Container
	stack       []Member  // members of the maps and lists that are being written
	index       []indexed // of the fields that are being looked up
}

// NewView returns the view of a Pod.
func NewView(pod jsontree.Node) *View {
	v := new(View)
	v.Reset(pod)
	return v
}

// Reset makes the view that of another Pod, in the same memory.
func (v *View) Reset(pod jsontree.Node) {
	*v = View{
		pod:        pod,
		spec:       pod.Get("spec"),
		names:      names{own: pod.Get("metadata", "name").Text()},
		containers: v.containers[:0],
		stack:      v.stack[:0],
		index:      v.index[:0],
	}
	v.containers = appendContainers(v.containers, v.spec)
	v.merged = mergedRequirements(pod, v.spec)
	v.hostNetwork = v.spec.Get("hostNetwork").Kind() == jsontree.True
	if set := pod.Get("metadata", "annotations").Get(limitRangerAnnotation); set.Exists() {
		v.limit = parseLimitRanger(set.String())
	}
	for owner := range pod.Get("metadata", "ownerReferences").Children() {
		if owner.Get("controller").Kind() != jsontree.True {
			continue
		}
		switch string(owner.Get("kind").Text()) {
		case kind.DaemonSet:
			v.daemon = true
		case kind.StatefulSet:
			v.hostNamed = true
			v.names.ofSet(owner.Get("name").Text(), v.spec)
		case kind.Job:
			v.hostNamed = true
		}
	}
}

// keptMembers are as many as a Pod of half a megabyte has in a list.
const keptMembers = 4096

// Forget lets go of the Pod, and of memory that few need. Reset must follow.
func (v *View) Forget() {
	*v = View{containers: forgotten(v.containers), stack: forgotten(v.stack), index: forgotten(v.index)}
}

func forgotten[T any](memory []T) []T {
	if cap(memory) > keptMembers {
		return nil
	}
	return truncated(memory, 0)
}

// truncated returns the first n items; the others refer to nothing any more.
func truncated[T any](items []T, n int) []T {
	clear(items[n:])
	return items[:n]
}

// pop takes what is above base from the stack.
func (v *View) pop(base int) { v.stack = truncated(v.stack, base) }

// LimitRanger returns the resources ("requests/cpu") that the LimitRanger plugin
// says it set on the named container.
func (v *View) LimitRanger(container string) map[string]bool { return v.limit[container] }

// Ignore has Members leave out the given resources ("requests/cpu"), until it
// is called again.
func (v *View) Ignore(resources map[string]bool) { v.ignored = resources }

// Pod returns the document that is looked at.
func (v *View) Pod() jsontree.Node { return v.pod }

// Member is a field of a map, or an item of a keyed list.
type Member struct {
	// Key is the field's name or the item's key; Second is the second key of
	// lists that have two.
	Key, Second []byte
	Node        jsontree.Node
	// Field is the name of the nearest field: the member's own, or the list's.
	Field []byte
	// Item: the member is a list's item.
	Item bool
	// Default: the value is what the API server fills in where there is none.
	Default bool

	limits jsontree.Node // beside requests: their defaults
}

func compareMembers(a, b Member) int {
	if c := bytes.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return bytes.Compare(a.Second, b.Second)
}

// sortMembers sorts by key. Members of one key stay as they stand in the document,
// without a stable sort, which takes longer.
func sortMembers(members []Member) {
	slices.SortFunc(members, func(a, b Member) int {
		if c := compareMembers(a, b); c != 0 {
			return c
		}
		return a.Node.Compare(b.Node)
	})
}

// Container is a container or init container of the Pod.
type Container struct {
	Name string
	Init bool
	Member
}

// Part names the container as a part of the Pod, as if it was injected.
func (c Container) Part() string {
	if c.Init {
		return "initContainer/" + c.Name
	}
	return "container/" + c.Name
}

// OneShot reports whether the container is an init container that runs to its end.
func (c Container) OneShot() bool {
	return c.Init && c.Node.Get("restartPolicy").String() != "Always"
}

// Containers returns the init containers, then the containers, each in their
// order in the spec. The caller must not change the list.
func (v *View) Containers() []Container { return v.containers }

func appendContainers(containers []Container, spec jsontree.Node) []Container {
	for _, field := range [...]string{"initContainers", "containers"} {
		list := spec.Get(field)
		for item := range list.Children() {
			key := item.Get("name").Text()
			containers = append(containers, Container{
				Name: string(key), Init: field == "initContainers",
				Member: Member{Key: key, Node: item, Field: list.Name(), Item: true},
			})
		}
	}
	return containers
}

// Order names the init containers, then the containers, as they stand.
func (v *View) Order() [2][]string {
	var order [2][]string
	for _, c := range v.Containers() {
		i := 1
		if c.Init {
			i = 0
		}
		order[i] = append(order[i], c.Name)
	}
	return order
}

// Volumes returns the list of the Pod's volumes; its Node is absent where
// there are none but noise.
func (v *View) Volumes() Member {
	list := Member{Node: v.spec.Get("volumes"), Field: []byte("volumes")}
	if v.hollow(list.Node) {
		list.Node = jsontree.Node{}
	}
	return list
}

// PodFields returns the fields of the spec other than containers and volumes,
// without noise.
func (v *View) PodFields() []Member {
	var members []Member
	for field := range v.spec.Children() {
		name := field.Name()
		if section(name) || placement(name) || v.hollow(field) {
			continue
		}
		members = append(members, Member{
			Key: name, Node: field, Field: name,
			Default: isDefault([]byte(podField), field),
		})
	}
	sortMembers(members)
	return members
}

// Members appends the members of a map, keyed list or set to dst, sorted by
// key, without noise. It reports false, and appends nothing, for a
// leaf: a scalar or an atomic list.
func (v *View) Members(dst []Member, m Member) ([]Member, bool) {
	start := len(dst)
	switch m.Node.Kind() {
	case jsontree.Object:
		for child := range m.Node.Children() {
			name := child.Name()
			if v.hollow(child) || v.noiseField(m.Field, name) {
				continue
			}
			member := Member{
				Key: name, Node: child, Field: name,
				Default: isDefault(m.Field, child) || v.derivedDefault(m, child),
			}
			if string(name) == "requests" {
				member.limits = limitsIn(m.Node)
			}
			dst = append(dst, member)
		}
	case jsontree.Array:
		if m.Item { // a list within a list: none of the API's
			return dst, false
		}
		first, second := listKeys(m.Field)
		set := setList(m.Field)
		if !v.keyed(m, first, set) {
			return dst, false
		}
		for item := range m.Node.Children() {
			switch {
			case set:
				dst = append(dst, Member{Key: item.Text(), Node: item, Field: m.Field, Item: true})
			case !v.noiseItem(m.Field, item):
				dst = append(dst, Member{
					Key: keyText(item, first), Second: keyText(item, second),
					Node: item, Field: m.Field, Item: true,
				})
			}
		}
	default:
		return dst, false
	}
	sortMembers(dst[start:])
	return dst, true
}

// keyed reports whether a list is keyed, or a set, and every item has its key:
// a list with a malformed item, noise apart, is looked at as a whole.
func (v *View) keyed(list Member, key string, set bool) bool {
	if key == "" && !set {
		return false
	}
	for item := range list.Node.Children() {
		at := item
		if !set {
			at = item.Get(key)
		}
		switch at.Kind() {
		case jsontree.Absent, jsontree.Null, jsontree.Object, jsontree.Array:
			if !v.noiseItem(list.Field, item) {
				return false
			}
		}
	}
	return true
}

func keyText(item jsontree.Node, key string) []byte {
	if key == "" {
		return nil
	}
	if value := item.Get(key); value.Exists() {
		return value.Text()
	}
	return []byte(keyDefault(key))
}

func isDefault(parent []byte, member jsontree.Node) bool {
	want, ok := apiDefault(parent, member.Name())
	return ok && string(member.Text()) == want && member.Kind() != jsontree.Object && member.Kind() != jsontree.Array
}

// derivedDefault reports whether a field of the map is what the API server
// derives from the fields beside it
// (k8s.io/kubernetes pkg/apis/core/v1/defaults.go).
func (v *View) derivedDefault(m Member, field jsontree.Node) bool {
	switch string(field.Name()) {
	case "imagePullPolicy":
		return string(field.Text()) == pullPolicy(m.Node.Get("image").Text())
	case "requests":
		limits := limitsIn(m.Node)
		for request := range field.Children() {
			if !defaultRequest(request, limits) {
				return false
			}
		}
		return limits.Exists()
	case "pullPolicy":
		return string(m.Field) == "image" && string(field.Text()) == pullPolicy(m.Node.Get("reference").Text())
	case "hostPort":
		return string(m.Field) == "ports" && v.hostNetwork &&
			bytes.Equal(field.Text(), m.Node.Get("containerPort").Text())
	}
	if string(m.Field) == "requests" {
		return defaultRequest(field, m.limits)
	}
	return false
}

// manyResources is more than any node has; limits are looked through for each
// request.
const manyResources = 100

// limitsIn returns the limits of a map of resources, as defaults of requests.
func limitsIn(resources jsontree.Node) jsontree.Node {
	limits, count := resources.Get("limits"), 0
	for range limits.Children() {
		if count++; count > manyResources {
			return jsontree.Node{}
		}
	}
	return limits
}

// defaultRequest reports whether the request is the limit of its resource.
func defaultRequest(request, limits jsontree.Node) bool {
	limit := limits.Get(string(request.Name()))
	return limit.Exists() && (bytes.Equal(request.Text(), limit.Text()) || sameQuantity(request, limit))
}

// PullPolicyFollows reports whether a container's pull policy is what the API server
// derives from the tag of its image.
func PullPolicyFollows(container jsontree.Node) bool {
	return string(container.Get("imagePullPolicy").Text()) == pullPolicy(container.Get("image").Text())
}

func pullPolicy(image []byte) string {
	image = image[bytes.LastIndexByte(image, '/')+1:]
	image, _, digest := bytes.Cut(image, []byte("@"))
	_, tag, tagged := bytes.Cut(image, []byte(":"))
	if string(tag) == "latest" || !tagged && !digest {
		return "Always"
	}
	return "IfNotPresent"
}
