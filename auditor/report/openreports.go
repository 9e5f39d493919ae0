package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// PolicyReport is a stream of openreports.io/v1alpha1 Reports in YAML.
const PolicyReport Format = "policyreport"

const (
	// source names this program in reports of others' formats.
	source = "sidecar-drift"
	// openRule is the one rule of the policy "sidecar-drift".
	openRule = "sidecar-in-sync"
	// openMessage is the number of columns of a result's message.
	openMessage = 300
	// openSize is the number of bytes of results, as JSON, that one object
	// holds: kubectl apply keeps a copy in an annotation, and annotations may
	// take 256 KiB.
	openSize = 200_000
	// ManagedByLabel is on every object made by [Shown.OpenReports], with the
	// value "sidecar-drift".
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ClusterAnnotation names the cluster that an object speaks of.
	ClusterAnnotation = "sidecar-drift.io/cluster"
)

// openReports are the objects that [Shown.OpenReports] returns.
func (r *Report) openReports() []openreports.Report {
	items := slices.Clone(r.Items)
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(
			cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name),
		)
	})
	var objects []openreports.Report
	index := r.index()
	size, part := 0, 0
	for i, item := range items {
		result := r.openResult(item, index)
		length := jsonLength(result)
		first := i == 0 || items[i-1].Cluster != item.Cluster || items[i-1].Namespace != item.Namespace
		if first {
			part = 0
		}
		if first || size+length > openSize {
			part++
			size = 0
			objects = append(objects, r.newOpenReport(item, part))
		}
		size += length
		object := &objects[len(objects)-1]
		object.Results = append(object.Results, result)
		countOpenResult(&object.Summary, result.Result)
	}
	return objects
}

// writeOpenReports writes the objects, after a comment for each cluster that could
// not be audited: it has no namespace for a Report.
func (r *Report) writeOpenReports(w io.Writer) error {
	for _, cluster := range r.unaudited() {
		if _, err := fmt.Fprintf(w, "# %s\n", cluster.note()); err != nil {
			return err
		}
	}
	for i, object := range r.openReports() {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if err := Marshal(w, YAML, object); err != nil {
			return fmt.Errorf("Report %s/%s: %w", object.Namespace, object.Name, err)
		}
	}
	return nil
}

func (r *Report) newOpenReport(item Item, part int) openreports.Report {
	object := openreports.Report{
		TypeMeta: metav1.TypeMeta{APIVersion: openreports.GroupVersion.String(), Kind: "Report"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: item.Namespace, Name: source,
			Labels: map[string]string{ManagedByLabel: source},
		},
		Source: source,
	}
	if part > 1 {
		object.Name += "-" + strconv.Itoa(part)
	}
	if cluster := r.clusterOf(item); cluster != "" {
		object.Annotations = map[string]string{ClusterAnnotation: Printable(cluster)}
	}
	return object
}

func (r *Report) openResult(item Item, index map[string]int) openreports.ReportResult {
	result := openResultOf(item)
	properties := map[string]string{"state": Printable(string(item.State)), "pods": podsOf(item)}
	if approximate(item) {
		properties["approximate"] = "true"
	}
	if ids, risk := r.namesOf(item, index); len(ids) > 0 {
		properties["changes"], properties["risk"] = strings.Join(ids, ","), string(risk)
	}
	return openreports.ReportResult{
		Source:    source,
		Policy:    source,
		Rule:      openRule,
		Timestamp: metav1.Timestamp{Seconds: r.GeneratedAt.Unix()},
		Result:    result,
		Scored:    result == "pass" || result == "fail",
		Subjects: []corev1.ObjectReference{{
			APIVersion: apiVersionOf(item.Kind), Kind: Printable(item.Kind), Namespace: item.Namespace, Name: item.Name,
		}},
		Description: headline(item, openMessage),
		Properties:  properties,
	}
}

func openResultOf(item Item) openreports.Result {
	state := item.State
	switch {
	case state == verdict.InSync:
		return "pass"
	case item.Alarming():
		return "fail"
	case state == verdict.Modified, state == verdict.Unstable:
		return "warn"
	case state == verdict.Unknown:
		return "error"
	}
	return "skip"
}

func countOpenResult(summary *openreports.ReportSummary, result openreports.Result) {
	switch result {
	case "pass":
		summary.Pass++
	case "fail":
		summary.Fail++
	case "warn":
		summary.Warn++
	case "error":
		summary.Error++
	default:
		summary.Skip++
	}
}

// OfKnownKind reports whether the workload is of one of the kinds that an audit
// knows, and not of one that merely some owner reference names.
func (item Item) OfKnownKind() bool { return apiVersionOf(item.Kind) != "" }

// apiVersionOf is empty for kinds that an audit knows by name alone.
func apiVersionOf(name string) string {
	k, known := kind.Of(name)
	if !known {
		return ""
	}
	return k.APIVersion()
}

// jsonLength is the number of bytes that a result takes.
func jsonLength(result openreports.ReportResult) int {
	text, err := json.Marshal(result)
	if err != nil {
		return openSize // cannot be: it holds texts and numbers
	}
	return len(text)
}
