package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// addTemplate adds the flag to a command that reads Pods from files.
func addTemplate(flags *pflag.FlagSet, file *string) {
	flags.StringVar(file, "template", "", "`File` with the workload of the Pods, or its Pod template, as JSON or YAML: what they have besides was injected. - is standard input.")
}

// warnOfNoManagers says of a Pod that nothing tells what was injected into it.
func warnOfNoManagers(w io.Writer, p pod) {
	if !p.hasManagedFields() {
		fmt.Fprintf(w, "warning: %s has no managedFields (kubectl shows them with --show-managed-fields): only containers that its injector lists, "+
			"or --sidecar-container-name names, count as sidecars; with its workload, --template FILE tells all that was injected\n", p)
	}
}

// podTemplate is a kind that holds a template, and no workload.
const podTemplate = "PodTemplate"

// readTemplate returns a Pod as the workload in a file would have it created, before
// admission; the zero Node without a file.
func readTemplate(file string, in io.Reader) (jsontree.Node, error) {
	if file == "" {
		return jsontree.Node{}, nil
	}
	const want = "a workload, or a Pod template,"
	source, documents, err := readDocuments(file, in, want)
	if err != nil {
		return jsontree.Node{}, err
	}
	if len(documents) != 1 {
		return jsontree.Node{}, fmt.Errorf("%s holds %d objects: give one workload, or one Pod template", source, len(documents))
	}
	template, err := shaped(documents[0])
	if err != nil {
		return jsontree.Node{}, fmt.Errorf("%s: %w", source, err)
	}
	return template, nil
}

// shaped returns the Pod of a workload, or of a bare Pod template.
func shaped(document []byte) (jsontree.Node, error) {
	object, err := jsontree.Parse(document)
	if err != nil {
		return object, err
	}
	if object.Kind() != jsontree.Object {
		return object, errors.New("holds something else than an object: give a workload, or a Pod template, as kubectl prints it")
	}
	name, template := object.Get("kind").String(), object
	of, known := kind.Of(name)
	known = known && of.Owner != "" || name == podTemplate
	group, _, grouped := strings.Cut(object.Get("apiVersion").String(), "/")
	if !grouped {
		group = ""
	}
	switch {
	case name == "" && !object.Get("apiVersion").Exists(): // a bare one
	case !known || group != of.Group:
		return object, fmt.Errorf("%s is no workload whose Pod template is known: give a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, Rollout or PodTemplate, or the template alone",
			report.Printable(strings.TrimSpace(object.Get("apiVersion").String()+" "+name)))
	case name == podTemplate:
		template = object.Get("template")
	case name == kind.CronJob:
		object = object.Get("spec", "jobTemplate")
		template = object.Get("spec", "template")
	default:
		template = object.Get("spec", "template")
	}
	if list := template.Get("spec", "containers"); list.Kind() != jsontree.Array || list.IsEmpty() {
		return object, errors.New("holds no Pod template with containers: give a workload, or its spec.template alone")
	}
	labelled, err := withLabels(template.Raw(), of.Labels)
	if err != nil {
		return object, err
	}
	r := inventory.Revision{Template: labelled, Owner: inventory.Owner{Kind: of.Owner, Name: object.Get("metadata", "name").String()}}
	for claim := range object.Get("spec", "volumeClaimTemplates").Children() {
		r.Ordinals.Claims = append(r.Ordinals.Claims, claim.Get("metadata", "name").String())
	}
	if object.Get("spec", "completionMode").String() == "Indexed" {
		r.CompletionIndex = "0"
	}
	pod, err := injection.Shape(r, injection.Ordinal{})
	if err != nil {
		return object, err
	}
	return jsontree.Parse(pod)
}

// withLabels gives a Pod template labels whose values do not matter.
func withLabels(template []byte, labels []string) ([]byte, error) {
	var object, metadata map[string]json.RawMessage
	var has map[string]string
	if err := json.Unmarshal(template, &object); err != nil {
		return nil, err
	}
	if err := unmarshalIfAny(object["metadata"], &metadata); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if err := unmarshalIfAny(metadata["labels"], &has); err != nil {
		return nil, fmt.Errorf("metadata.labels: %w", err)
	}
	if metadata == nil {
		metadata = map[string]json.RawMessage{}
	}
	if has == nil {
		has = map[string]string{}
	}
	for _, label := range labels {
		has[label] = ""
	}
	var err error
	if metadata["labels"], err = json.Marshal(has); err != nil {
		return nil, err
	}
	if object["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

func unmarshalIfAny(value json.RawMessage, into any) error {
	if value == nil {
		return nil
	}
	return json.Unmarshal(value, into)
}
