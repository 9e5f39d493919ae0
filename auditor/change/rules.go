package change

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/meaning"
)

// rule is one line of the table in docs/changes.md. The first that matches counts.
type rule struct {
	kind    Kind
	risk    Risk
	reason  string
	matches func(at) bool
}

// at is a place as the rules look at it.
type at struct {
	verdict.Change
	part string // "container", "initContainer", "app", "pod", "metadata", "volumes", "order"
	lost bool
	// whole: a container, or another part, came or went.
	whole bool
}

// rules are all, the first that matches counts; images have their own.
var rules = []rule{
	{ContainerRemoved, Loss, "what was injected is lost", func(a at) bool { return a.lost && a.whole }},
	{Other, Loss, "what was injected is only taken away", func(a at) bool { return a.lost }},
	{ContainerRemoved, Behaviour, "a container goes", func(a at) bool { return a.whole && a.isContainer() && a.To == nil }},
	{ContainerAdded, Behaviour, "a container comes", func(a at) bool { return a.whole && a.isContainer() && a.From == nil }},
	{Resources, Tuning, "CPU and memory", func(a at) bool { return a.ofCompute() || under("resizePolicy")(a) }},
	{Resources, Behaviour, "claimed devices", func(a at) bool { return under("resources.claims")(a) || a.Path == "resources" && a.mentions("claims") }},
	{Resources, Behaviour, "other resources than CPU and memory", under("resources")},
	{Env, Tuning, "a log level", inEnv(logLevel)},
	{Args, Tuning, "a log level", inArgs(logLevel)},
	{Annotation, Tuning, "a log level", inAnnotation(logLevel)},
	{Env, Tuning, "how much of CPU and memory it uses", inEnv(runtimeSize)},
	{Args, Tuning, "how much of CPU and memory it uses", inArgs(runtimeSize)},
	{Other, Tuning, "when images are pulled", under("imagePullPolicy")},
	{Volume, Tuning, "the size of a volume", func(a at) bool { return a.part == "volumes" && strings.HasSuffix(a.Path, "].emptyDir.sizeLimit") }},
	{Other, Cosmetic, "where its last message goes", under("terminationMessagePath", "terminationMessagePolicy")},
	{Other, Cosmetic, "a label", func(a at) bool { return a.part == "metadata" && strings.HasPrefix(a.Path, "labels") }},
	{Security, Behaviour, "capabilities", under("securityContext.capabilities")},
	{Security, Behaviour, "a privileged container", under("securityContext.privileged", "securityContext.allowPrivilegeEscalation")},
	{Security, Behaviour, "the security context", under("securityContext")},
	{Security, Behaviour, "in whose name the Pod acts", inPod("serviceAccountName", "serviceAccount", "automountServiceAccountToken", "imagePullSecrets")},
	{Security, Behaviour, "the node's namespaces", inPod("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace")},
	{Security, Behaviour, "a path of the node", func(a at) bool { return a.part == "volumes" && a.mentions("hostPath") }},
	{ContainerAdded, Behaviour, "a container becomes a native sidecar", func(a at) bool { return a.Path == BecomesNative }},
	{Probe, Behaviour, "a probe", under("livenessProbe", "readinessProbe", "startupProbe")},
	{Probe, Behaviour, "how it starts and ends", under("lifecycle", "restartPolicy", "restartPolicyRules")},
	{Probe, Behaviour, "how it starts and ends", inPod("terminationGracePeriodSeconds", "restartPolicy", "readinessGates")},
	{Args, Behaviour, "arguments", under("args", "command", "workingDir", "stdin", "tty")},
	{Network, Behaviour, "ports", under("ports")},
	{Network, Behaviour, "names and addresses", inPod("dnsPolicy", "dnsConfig", "hostAliases", "hostname", "subdomain")},
	{Env, Behaviour, "a variable", under("env", "envFrom")},
	{Volume, Behaviour, "a volume", func(a at) bool { return a.part == "volumes" || under("volumeMounts", "volumeDevices")(a) }},
	{Placement, Behaviour, "where it runs", inPod("nodeSelector", "nodeName", "affinity", "tolerations", "topologySpreadConstraints",
		"runtimeClassName", "priorityClassName", "priority", "preemptionPolicy", "schedulerName", "schedulingGates", "overhead", "os")},
	{Annotation, Behaviour, "an annotation that configures", func(a at) bool { return a.part == "metadata" }},
	{Order, Behaviour, "the order of containers", func(a at) bool { return a.part == "order" }},
	{Other, Behaviour, "another field", func(at) bool { return true }},
}

// assess finds the worst of places, and the rule of that.
func assess(places []verdict.Change, lost bool) (worst assessment, at int) {
	for i, c := range places {
		if next := worse(worst, ruleOf(c, lost)); next != worst {
			worst, at = next, i
		}
	}
	return worst, at
}

func ruleOf(c verdict.Change, lost bool) assessment {
	part, _, _ := strings.Cut(c.Part, "/")
	a := at{Change: c, part: part, lost: lost, whole: c.Path == "" && part != "order" && part != "volumes"}
	if c.Path == "image" && (a.isContainer() || part == App) {
		risk, reason := imageRisk(textOf(c.From), textOf(c.To))
		return assessment{Image, risk, reason, len(rules) + 1}
	}
	for i, r := range rules {
		if r.matches(a) {
			return assessment{r.kind, r.risk, r.reason, i + 1}
		}
	}
	panic("the last rule matches all")
}

func (a at) isContainer() bool { return a.part == "container" || a.part == "initContainer" }

// under matches fields of a container or of the Pod, and what is below them.
func under(fields ...string) func(at) bool {
	return func(a at) bool {
		if a.part == "volumes" || a.part == "metadata" || a.part == "order" {
			return false
		}
		for _, field := range fields {
			if below, ok := strings.CutPrefix(a.Path, field); ok && (below == "" || below[0] == '.' || below[0] == '[' || strings.HasPrefix(below, verdict.Inside)) {
				return true
			}
		}
		return false
	}
}

func inPod(fields ...string) func(at) bool {
	return func(a at) bool { return a.part == "pod" && under(fields...)(a) }
}

// ofCompute reports whether requests and limits of CPU and memory are all that differs, or
// all that is in what came or went.
func (a at) ofCompute() bool {
	if !under("resources")(a) {
		return false
	}
	switch a.Path {
	case "resources.requests.cpu", "resources.requests.memory", "resources.limits.cpu", "resources.limits.memory":
		return true
	case "resources.requests", "resources.limits":
		return onlyCompute(a.From) && onlyCompute(a.To)
	case "resources":
		of := func(value json.RawMessage) bool {
			return hasOnly(value, func(key string, below json.RawMessage) bool {
				return (key == "requests" || key == "limits") && onlyCompute(below)
			})
		}
		return of(a.From) && of(a.To)
	}
	return false
}

func onlyCompute(value json.RawMessage) bool {
	return hasOnly(value, func(key string, _ json.RawMessage) bool { return key == "cpu" || key == "memory" })
}

// hasOnly reports whether an object, which may be absent, has no other members.
func hasOnly(value json.RawMessage, allowed func(key string, below json.RawMessage) bool) bool {
	if value == nil {
		return true
	}
	var of map[string]json.RawMessage
	if json.Unmarshal(value, &of) != nil {
		return false
	}
	for key, below := range of {
		if !allowed(key, below) {
			return false
		}
	}
	return true
}

var (
	logLevel    = regexp.MustCompile(`(?:(?:^|[^A-Za-z])(?i:log)|[a-z]Log)[-_.]?(?i:(?:output[-_.]?)?level)$|^(?:RUST|LINKERD2_PROXY)_LOG$`)
	runtimeSize = regexp.MustCompile(`^(GOMAXPROCS|GOMEMLIMIT|GOGC)$|^-*concurrency$`)
	// itemPath is that of a whole item of a list, or of a variable's value; the second one
	// of a flag is --flag#2.
	itemPath = regexp.MustCompile(`^(env|args|annotations)\[([^\[\]]*?)(?:#\d+)?\](\.value)?$`)
)

// longestScalar is the number of bytes up to which a value may be a mere scalar.
const longestScalar = 256

// inItem matches an item of a list by its name, where nothing but a scalar differs in it.
func inItem(list string, name *regexp.Regexp) func(at) bool {
	return func(a at) bool {
		if list != "annotations" && !under(list)(a) || list == "annotations" && a.part != "metadata" {
			return false
		}
		item := itemPath.FindStringSubmatch(a.Path)
		if item == nil || item[1] != list || !name.MatchString(item[2]) {
			return false
		}
		fits := isScalar
		switch ofValue := item[3] != ""; {
		case list == "env" && !ofValue:
			fits = isVariable
		case list != "env" && ofValue:
			return false
		}
		return fits(a.From) && fits(a.To)
	}
}

// isScalar reports whether a value, which may be absent, means nothing but itself, and no
// part of it is hidden.
func isScalar(value json.RawMessage) bool {
	return value == nil || len(value) <= longestScalar && !mask.In(string(value)) && !meaning.Of(value).Decoded()
}

// isVariable reports whether a variable, which may be absent, has a scalar for its value.
func isVariable(value json.RawMessage) bool {
	return hasOnly(value, func(key string, below json.RawMessage) bool {
		return key == "name" || key == "value" && isScalar(below)
	})
}

func inEnv(name *regexp.Regexp) func(at) bool        { return inItem("env", name) }
func inArgs(name *regexp.Regexp) func(at) bool       { return inItem("args", name) }
func inAnnotation(name *regexp.Regexp) func(at) bool { return inItem("annotations", name) }

// mentions reports whether a volume has, or had, a field.
func (a at) mentions(field string) bool {
	has := func(value json.RawMessage) bool {
		var of map[string]json.RawMessage
		return json.Unmarshal(value, &of) == nil && of[field] != nil
	}
	return strings.Contains(a.Path, "]."+field) || has(a.From) || has(a.To)
}

func textOf(value json.RawMessage) string {
	var text string
	_ = json.Unmarshal(value, &text) // what is no text is none
	return text
}
