package doctor

import (
	"fmt"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// Kind is that of a Report.
const Kind = "DoctorReport"

// State is what became of one check.
type State string

const (
	// OK means that it was looked at and is as it should be.
	OK State = "OK"
	// Warning means that it works, but less well or less safely than it could.
	Warning State = "Warning"
	// Wrong means that something does not work, or is not as safe as the
	// documentation promises.
	Wrong State = "Wrong"
	// NotChecked means that it could not be looked at, or is not there to be
	// looked at. It is never as good as OK.
	NotChecked State = "NotChecked"
)

// States returns all states.
func States() []State { return []State{OK, Warning, Wrong, NotChecked} }

// Report is what an examination found. Its lists and maps are never null.
type Report struct {
	APIVersion  string    `json:"apiVersion"`
	Kind        string    `json:"kind"`
	GeneratedAt time.Time `json:"generatedAt"`
	// Cluster is the one that was examined.
	Cluster *report.ClusterIdentity `json:"cluster,omitempty"`
	// Summary counts the items by state.
	Summary map[State]int `json:"summary"`
	// Items are in the order of the checks in docs/doctor.md.
	Items []Finding `json:"items"`
}

// Finding is the answer of one check about one thing.
type Finding struct {
	// Check is its name in docs/doctor.md.
	Check   string `json:"check"`
	Subject string `json:"subject"`
	State   State  `json:"state"`
	// Message says what was seen.
	Message string `json:"message"`
	// Remedy says what to do; empty where there is nothing to do.
	Remedy string `json:"remedy"`
}

func newReport(findings []Finding, now time.Time) *Report {
	r := &Report{
		APIVersion: report.APIVersion, Kind: Kind, GeneratedAt: now.UTC(),
		Summary: map[State]int{}, Items: append([]Finding{}, findings...),
	}
	for _, finding := range findings {
		r.Summary[finding.State]++
	}
	return r
}

// Names of the checks.
const (
	checkAPIServer    = "api-server"
	checkInstallation = "installation"
	checkVersions     = "versions"
	checkAnswers      = "answers"
	checkInjectors    = "injectors"
	checkSideEffects  = "side-effects"
	checkUserInfo     = "user-info"
	checkDryRunAs     = "dry-run-as"
	checkWebhook      = "webhook"
	checkOrder        = "order"
	checkCertificate  = "certificate"
	checkDryRun       = "dry-run"
	checkStamp        = "stamp"
	checkPolicy       = "policy"
	checkPolicyProof  = "policy-proof"
	checkAccess       = "access"
	checkPodSecurity  = "pod-security"
	checkReplicas     = "replicas"
	checkSpread       = "spread"
	checkDisruption   = "disruption"
)

// topic is what findings are about.
type topic struct{ check, subject string }

func (t topic) finding(state State, message, remedy string) Finding {
	return Finding{Check: t.check, Subject: t.subject, State: state, Message: message, Remedy: remedy}
}

func (t topic) ok(format string, args ...any) Finding {
	return t.finding(OK, fmt.Sprintf(format, args...), "")
}

func (t topic) warning(remedy, format string, args ...any) Finding {
	return t.finding(Warning, fmt.Sprintf(format, args...), remedy)
}

func (t topic) wrong(remedy, format string, args ...any) Finding {
	return t.finding(Wrong, fmt.Sprintf(format, args...), remedy)
}

func (t topic) notChecked(remedy, format string, args ...any) Finding {
	return t.finding(NotChecked, fmt.Sprintf(format, args...), remedy)
}

// lacking is how RBAC says that a right is lacking.
var lacking = regexp.MustCompile(`cannot (\S+) resource "([^"]+)"`)

// unread says why something could not be read.
func (t topic) unread(err error) Finding {
	said := lacking.FindStringSubmatch(err.Error())
	if !apierrors.IsForbidden(err) || said == nil {
		return t.notChecked("", "%v", err)
	}
	return t.notChecked("ask somebody who may, or be given the right", "you may not %s %s", said[1], said[2])
}

// orOK returns the problems, or that there is none.
func (t topic) orOK(problems []Finding, format string, args ...any) []Finding {
	if len(problems) > 0 {
		return problems
	}
	return []Finding{t.ok(format, args...)}
}
