package verdict

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// placement compares the fields of [podspec.View.Placement], which others than injectors
// set, too. What both Pods have is not asked about. Of the rest is taken away what the
// template has, what Kubernetes itself gives to any Pod, and what a lender gives now; what
// is left counts if it cannot have come from a lender. Else nothing is said of it.
func (c *comparison) placement(in Input) {
	template := podspec.NewView(in.Template)
	for name, pair := range pairs(c.live.Placement(), c.fresh.Placement()) {
		if editableInGates(name) && !c.edits.Field([]byte(name)).Empty() {
			continue
		}
		switch p := (placed{comparison: c, field: name, pair: pair}); name {
		case "imagePullSecrets":
			p.template = p.submittedItems(in, template)
			p.pullSecrets(in)
		case "nodeSelector":
			p.template = p.submittedItems(in, template)
			p.scheduling(in, func(e *Evidence) *Lender { return e.NodeSelector })
		case "tolerations":
			p.template = p.submittedItems(in, template)
			p.scheduling(in, func(e *Evidence) *Lender { return e.Tolerations })
		case "priorityClassName":
			// The plugin Priority gives Pods that name none the cluster's default class
			// (plugin/pkg/admission/priority); it never takes the place of another.
			if s := submitted(in, template, pair, name); s.Node.Exists() && len(s.Node.Text()) > 0 {
				c.podField(name, pair)
			} else {
				p.doubt(Change{Path: name, From: stored(pair.live.Node), To: stored(pair.fresh.Node)})
			}
		default:
			c.podField(name, pair)
		}
	}
}

// editableInGates reports whether a field may change once the Pod exists: while gates hold
// it, which is how Kueue chooses nodes, or, of tolerations, at any time.
// https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/
func editableInGates(name string) bool { return name == "nodeSelector" || name == "tolerations" }

// isPlacement reports whether a path of the part pod is one of placement.
func isPlacement(path string) bool {
	switch field, _, _ := strings.Cut(path, "["); field {
	case "imagePullSecrets", "tolerations", "priorityClassName", "serviceAccountName", "hostname", "subdomain", "enableServiceLinks":
		return true
	}
	return strings.HasPrefix(path, "nodeSelector.")
}

// submitted is a field as it was submitted for the fresh Pod: the template's, or what the
// Pods' creator holds. Who holds a list or a map whole has submitted the live one, as far as
// anybody knows.
func submitted(in Input, template *podspec.View, pair pair, name string) podspec.Member {
	field := []byte(name)
	if in.Template.Exists() {
		return podspec.Member{Key: field, Node: template.Pod().Get("spec", name), Field: field}
	}
	switch held := submitters(in).Field(field); {
	case held.Empty():
		return podspec.Member{}
	case pair.live.Node.Exists():
		return pair.live
	}
	return pair.fresh
}

// submittedItems are those of what was submitted. Pull secrets are held one by one.
func (p placed) submittedItems(in Input, template *podspec.View) []item {
	whole := submitted(in, template, p.pair, p.field)
	if in.Template.Exists() {
		return p.items(template, whole)
	}
	items := p.items(p.live, whole)
	if p.field != "imagePullSecrets" || len(items) == 0 {
		return items
	}
	list := []byte(p.field)
	held := p.live.Lookup(submitters(in).Field(list), list)
	defer p.live.Release(held)
	return slices.DeleteFunc(items, func(i item) bool {
		return !held.Member(podspec.Member{Key: i.node.Get("name").Text(), Field: list, Item: true}).Has()
	})
}

// submitters is what the creators of the fresh Pod hold of its spec.
func submitters(in Input) podspec.Fields {
	managers, err := podspec.Managers(in.Fresh)
	if err != nil { // which Judge has said already
		return podspec.Fields{}
	}
	return podspec.Union(podspec.Created(managers)).Field([]byte("spec"))
}

// placed is a list or a map of placement in both Pods.
type placed struct {
	*comparison
	field    string
	pair     pair
	template []item
}

// item is one of its items.
type item struct {
	path string
	is   string // in its canonical form
	node jsontree.Node
}

func (p placed) items(view *podspec.View, m podspec.Member) []item {
	var items []item
	if !m.Node.Exists() {
		return nil
	}
	for node := range view.Items(m) {
		i := item{path: p.field, node: node}
		switch p.field {
		case "imagePullSecrets":
			i.path += "[" + node.Get("name").String() + "]"
			i.is = string(view.AppendText(nil, node.Get("name").Text()))
		case "nodeSelector":
			i.path += "." + string(node.Name())
			i.is = string(view.AppendText(nil, append(append(bytes.Clone(node.Name()), '='), node.Text()...)))
		default:
			i.is = string(view.AppendCanonical(nil, podspec.Member{Node: node, Field: m.Field, Item: true}))
		}
		items = append(items, i)
	}
	return items
}

// pullSecrets compares imagePullSecrets. The plugin ServiceAccount copies those of the
// account into Pods that have none (plugin/pkg/admission/serviceaccount), so that all that a
// Pod has besides its template's is admission's own where the template has some. Istio's
// injector lists those that it gives.
func (p placed) pullSecrets(in Input) {
	sameAccount := account(p.live) == account(p.fresh)
	name := func(text string) string {
		return string(podspec.NewView(jsontree.Node{}).AppendText(nil, []byte(text)))
	}
	of := in.Evidence.lender(func(e *Evidence) *Lender { return e.PullSecrets }, p.live.Pod(), name)
	of.settled = of.settled && sameAccount
	if len(p.template) > 0 {
		of = lender{known: true, settled: true}
	}
	listed := [2]map[string]bool{
		podspec.ListedByInjector(p.live.Pod()).PullSecrets, podspec.ListedByInjector(p.fresh.Pod()).PullSecrets,
	}
	p.judge(of, func(side int, i item) bool { return listed[side][i.node.Get("name").String()] })
}

// account is the ServiceAccount of a Pod.
func account(v *podspec.View) string {
	if name := v.Pod().Get("spec", "serviceAccountName"); len(name.Text()) > 0 {
		return name.String()
	}
	return "default"
}

// scheduling compares the node selector or the tolerations. The plugins PodNodeSelector and
// PodTolerationRestriction copy the namespace's into each Pod, and RuntimeClass those of the
// Pod's class, which an audit may not read (plugin/pkg/admission/podnodeselector,
// podtolerationrestriction and runtimeclass).
func (p placed) scheduling(in Input, lends func(*Evidence) *Lender) {
	of := in.Evidence.lender(lends, p.live.Pod(), p.lentItem)
	for _, pod := range []*podspec.View{p.live, p.fresh} {
		if len(pod.Pod().Get("spec", "runtimeClassName").Text()) > 0 {
			of.known, of.settled = false, false
		}
	}
	p.judge(of, func(int, item) bool { return false })
}

// lentItem is what a namespace lends in the form of an [item].
func (p placed) lentItem(text string) string {
	view := podspec.NewView(jsontree.Node{})
	if p.field == "nodeSelector" {
		return string(view.AppendText(nil, []byte(text)))
	}
	toleration, err := jsontree.Parse([]byte(text))
	if err != nil {
		return ""
	}
	return string(view.AppendCanonical(nil, podspec.Member{Node: toleration, Field: []byte(p.field), Item: true}))
}

// judge takes away what is explained; listed says what an injector says that it gave.
func (p placed) judge(of lender, listed func(side int, i item) bool) {
	sides := [2][]item{p.items(p.live, p.pair.live), p.items(p.fresh, p.pair.fresh)}
	both, template := [2]map[string]bool{forms(sides[0]), forms(sides[1])}, forms(p.template)
	var left [2][]item // only here, and not explained
	for side, items := range sides {
		for _, i := range items {
			if !both[1-side][i.is] && !template[i.is] && !of.has[i.is] {
				left[side] = append(left[side], i)
			}
		}
	}
	// Whoever gives something now that no lender does gives this field, and what went was
	// as likely its own. Where something only went, the lender may have had it.
	proven := of.known && (len(left[1]) > 0 || of.settled)
	counts, doubted := [2][]item{}, [2][]item{}
	for side, items := range left {
		for _, i := range items {
			if proven || listed(side, i) {
				counts[side] = append(counts[side], i)
			} else {
				doubted[side] = append(doubted[side], i)
			}
		}
	}
	for _, change := range p.changes(sides, counts) {
		p.record(change.Part, change.Path, parsed(change.From), parsed(change.To))
	}
	for _, change := range p.changes(sides, doubted) {
		p.doubt(change)
	}
}

func forms(items []item) map[string]bool {
	set := make(map[string]bool, len(items))
	for _, i := range items {
		set[i.is] = true
	}
	return set
}

// changes are the items as changes: by their keys, or, of a list without keys, as the list
// of them.
func (p placed) changes(sides, items [2][]item) []Change {
	if p.field == "tolerations" {
		if len(items[0])+len(items[1]) == 0 {
			return nil
		}
		return []Change{{Part: "pod", Path: p.field, From: list(items[0]), To: list(items[1])}}
	}
	at := [2]map[string]jsontree.Node{{}, {}}
	for side := range sides {
		for _, i := range sides[side] {
			at[side][i.path] = i.node
		}
	}
	var changes []Change
	for _, i := range slices.Concat(items[0], items[1]) {
		changes = append(changes, Change{Part: "pod", Path: i.path, From: stored(at[0][i.path]), To: stored(at[1][i.path])})
	}
	slices.SortFunc(changes, CompareChanges)
	return eachOnce(changes)
}

// parsed is a value that was stored.
func parsed(value json.RawMessage) jsontree.Node {
	if value == nil {
		return jsontree.Node{}
	}
	node, err := jsontree.Parse(value)
	if err != nil { // it was written from one
		panic(err)
	}
	return node
}

// list is the items as a JSON list; nil of none.
func list(items []item) json.RawMessage {
	if len(items) == 0 {
		return nil
	}
	raw := []byte{'['}
	for n, i := range items {
		if n > 0 {
			raw = append(raw, ',')
		}
		raw = append(raw, i.node.Raw()...)
	}
	whole, err := jsontree.Parse(append(raw, ']'))
	if err != nil { // they are parts of what was parsed
		panic(err)
	}
	return stored(whole)
}

// doubt takes a difference down of which nothing tells who made it.
func (c *comparison) doubt(change Change) {
	change.Part = "pod"
	if slices.ContainsFunc(c.ignore, func(p PathPattern) bool { return p.matches(change) }) {
		return
	}
	change.Path = Cut(change.Path, maxPath)
	c.undecided = append(c.undecided, change)
}
