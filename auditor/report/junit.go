package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// JUnit is a JUnit report, as build servers show it.
const JUnit Format = "junit"

const (
	// junitMessage is the number of columns of a message.
	junitMessage = 300
	// junitBody is the number of bytes of what a failure shows when it is
	// opened.
	junitBody = 8000
	// junitTime is a time as the format has it, without a zone.
	junitTime = "2006-01-02T15:04:05"
)

// The elements are those that both Jenkins' junit plugin and GitLab read.
type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	junitCounts
	Suites []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string `xml:"name,attr"`
	Timestamp string `xml:"timestamp,attr"`
	junitCounts
	Properties *junitProperties `xml:"properties"`
	Cases      []junitCase      `xml:"testcase"`
}

// junitProperties name the cluster, where there is but one: suites are named without it, so that
// they stay the same tests in the eyes of a build server.
type junitProperties struct {
	Properties []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

func (c ClusterIdentity) junit() *junitProperties {
	var found []junitProperty
	for _, p := range []junitProperty{{"cluster", Printable(c.Name)}, {"server", Printable(c.Server)}} {
		if p.Value != "" {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &junitProperties{found}
}

type junitCounts struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	// Time is required by some readers; an audit asks once for many workloads.
	Time int `xml:"time,attr"`
}

// A case has at most one of Failure, Error and Skipped.
type junitCase struct {
	// Class is "NAMESPACE.KIND": Jenkins takes what is before the last dot for
	// a package. Name is "KIND NAMESPACE/NAME": GitLab shows it alone, and reads
	// one of several with the same name.
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    int           `xml:"time,attr"`
	Failure *junitOutcome `xml:"failure"`
	Error   *junitOutcome `xml:"error"`
	Skipped *junitOutcome `xml:"skipped"`
	Output  *junitText    `xml:"system-out"`
}

// A junitOutcome says in Text what is in Message where there is nothing more to
// say: GitLab shows no message.
type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",cdata"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

// writeJUnit writes a test suite a namespace and a test a workload. What
// --exit-code fails on is a failure, Unknown an error, and what cannot be
// judged, or has no sidecar to judge, is skipped. What is shown of a workload begins with its
// risk and the IDs of its changes. A cluster that could not be
// audited is an error in a suite of its own.
func (r *Report) writeJUnit(w io.Writer) error {
	all := junitSuites{Name: source}
	items, index := slices.Clone(r.Items), r.index()
	slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(a.group(), b.group()) })
	for _, item := range items {
		last := len(all.Suites) - 1
		if last < 0 || all.Suites[last].Name != item.group() {
			all.Suites = append(all.Suites, junitSuite{Name: item.group(), Timestamp: r.GeneratedAt.Format(junitTime), Properties: r.identity().junit()})
			last++
		}
		suite := &all.Suites[last]
		tested := r.junitCaseOf(item, index)
		suite.Cases = append(suite.Cases, tested)
		suite.add(tested)
		all.add(tested)
	}
	for _, cluster := range r.unaudited() {
		suite := junitSuite{Name: Printable(cluster.Name), Timestamp: r.GeneratedAt.Format(junitTime)}
		tested := junitUnaudited(cluster)
		suite.Cases = append(suite.Cases, tested)
		suite.add(tested)
		all.add(tested)
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(text)+"\n")
	return err
}

func (r *Report) junitCaseOf(item Item, index map[string]int) junitCase {
	kind, name, message := Printable(item.Kind), Printable(item.Name), headline(item, junitMessage)
	tested := junitCase{Class: item.group() + "." + kind, Name: kind + " " + item.group() + "/" + name}
	body := excerpt(item, junitBody)
	if ids, risk := r.namesOf(item, index); len(ids) > 0 {
		body = fmt.Sprintf("Risk %s, changes %s\n%s", risk, strings.Join(ids, ", "), body)
	}
	outcome := &junitOutcome{Message: message, Type: Printable(string(item.State)), Text: cmp.Or(body, message+"\n")}
	switch {
	case item.Alarming():
		tested.Failure = outcome
	case item.State == verdict.Unknown:
		tested.Error = outcome
	case !item.State.Counted():
		tested.Skipped = outcome
	case body != "":
		tested.Output = &junitText{message + "\n" + body}
	}
	return tested
}

func junitUnaudited(cluster Cluster) junitCase {
	name, message := Printable(cluster.Name), sentence(cluster.Error)
	return junitCase{
		Class: name + "." + unauditedKind, Name: unauditedKind + " " + name,
		Error: &junitOutcome{Message: truncate(message, junitMessage), Type: string(verdict.Unknown), Text: message + "\n"},
	}
}

func (c *junitCounts) add(tested junitCase) {
	c.Tests++
	switch {
	case tested.Failure != nil:
		c.Failures++
	case tested.Error != nil:
		c.Errors++
	case tested.Skipped != nil:
		c.Skipped++
	}
}
