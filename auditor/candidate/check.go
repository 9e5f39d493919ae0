package candidate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// differs compares what a dry run gave with what the webhooks of now have made of the Pod
// that was reconstructed from it. Noise, defaults, and what in-tree plugins set afterwards in
// injected containers are no differences.
func (c *Candidates) differs(fresh, made, template []byte) ([]verdict.Change, error) {
	in := verdict.Input{Ignore: c.opts.Ignore, IncludeAutoscaled: true}
	for _, of := range []struct {
		what string
		raw  []byte
		node *jsontree.Node
	}{{"fresh Pod", fresh, &in.Live}, {"reconstructed Pod", made, &in.Fresh}, {"submitted Pod", template, &in.Template}} {
		node, err := jsontree.Parse(of.raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", of.what, err)
		}
		*of.node = node
	}
	v, err := verdict.Judge(in)
	if err != nil {
		return nil, err
	}
	limits := in.Live.Get("metadata", "annotations").Get(limitRangerAnnotation).String()
	always := alwaysPulled(in.Live)
	return slices.DeleteFunc(v.Changes, func(change verdict.Change) bool {
		kind, container, _ := strings.Cut(change.Part, "/")
		if kind != "container" && kind != "initContainer" {
			return false
		}
		return strings.HasPrefix(change.Path, "resources.") && slices.Contains(limited(limits), container) ||
			change.Path == "imagePullPolicy" && always
	}), nil
}

// unexplained leaves out what other webhooks alone have changed, which they may do otherwise
// each time: that is no fault of the one that is held to the dry run.
func (q question) unexplained(present admitted, differing []verdict.Change) ([]verdict.Change, error) {
	own, others := map[string]bool{}, map[string]bool{}
	for _, s := range present.steps {
		before, err := encode(s.before)
		if err != nil {
			return nil, err
		}
		after, err := encode(s.after)
		if err != nil {
			return nil, err
		}
		changed, err := q.differs(before, after, q.Submitted)
		if err != nil {
			return nil, err
		}
		for _, c := range changed {
			if s.of.candidate != nil {
				own[itemOf(c)] = true
			} else {
				others[itemOf(c)] = true
			}
		}
	}
	return slices.DeleteFunc(differing, func(c verdict.Change) bool { return others[itemOf(c)] && !own[itemOf(c)] }), nil
}

// itemOf is what a change is of: an injected container as a whole, or an item of a list.
func itemOf(c verdict.Change) string {
	if strings.HasPrefix(c.Part, "container/") || strings.HasPrefix(c.Part, "initContainer/") {
		return c.Part
	}
	if at := strings.IndexByte(c.Path, ']'); at >= 0 {
		return c.Part + ":" + c.Path[:at+1]
	}
	return c.Place()
}

// limited are the containers of which the plugin LimitRanger says that it has set resources.
func limited(annotation string) []string {
	_, clauses, _ := strings.Cut(annotation, ": ")
	var containers []string
	for clause := range strings.SplitSeq(clauses, "; ") {
		if _, container, found := strings.Cut(clause, "container "); found {
			containers = append(containers, container)
		}
	}
	return containers
}

// alwaysPulled reports whether all images of a Pod are, as the plugin AlwaysPullImages has it.
func alwaysPulled(pod jsontree.Node) bool {
	for _, lists := range []string{"initContainers", "containers"} {
		for container := range pod.Get("spec", lists).Children() {
			if container.Get("imagePullPolicy").String() != "Always" {
				return false
			}
		}
	}
	return true
}

// mostPlaces is how many differing places a reason names.
const mostPlaces = 6

// placesOf names places, for a reason.
func placesOf(changes []verdict.Change) string {
	var places []string
	for i, c := range changes {
		if i == mostPlaces {
			places = append(places, fmt.Sprintf("and %d more", len(changes)-i))
			break
		}
		places = append(places, c.Place())
	}
	return strings.Join(slices.Compact(places), ", ")
}
