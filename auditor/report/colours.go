package report

import "github.com/sidecar-drift/sidecar-drift/auditor/verdict"

// unknownColour is that of states which this build does not know.
const unknownColour = "#7b8494"

// StateColour is the colour of a state wherever one is drawn: in the HTML page
// and on the Grafana dashboard. It is "#rrggbb", with a contrast of at least
// 3:1 against light and dark backgrounds (WCAG 2, 1.4.11), so that one colour
// serves both themes.
func StateColour(state verdict.State) string {
	switch state {
	case verdict.Blocked:
		return "#dc2626"
	case verdict.Drifted:
		return "#d07207"
	case verdict.Missing:
		return "#9a7b0a"
	case verdict.Orphaned:
		return "#db2777"
	case verdict.Modified:
		return "#8b5cf6"
	case verdict.Unstable:
		return "#3b82f6"
	case verdict.Unknown:
		return "#0891b2"
	case verdict.InSync:
		return "#189a4b"
	case verdict.Mutated:
		return "#66758c"
	case verdict.NotInjected:
		return "#858e9c"
	}
	return unknownColour
}

// stateMark is drawn beside a state's colour, which is never the only signal.
func stateMark(state verdict.State) string {
	switch state {
	case verdict.Blocked:
		return "!"
	case verdict.Drifted:
		return "≠"
	case verdict.Missing:
		return "+"
	case verdict.Orphaned:
		return "−"
	case verdict.Modified:
		return "*"
	case verdict.Unstable:
		return "~"
	case verdict.Unknown:
		return "?"
	case verdict.InSync:
		return "✓"
	case verdict.Mutated:
		return "·"
	case verdict.NotInjected:
		return "–"
	}
	return "?"
}

// stateMeaning explains a state in a sentence.
func stateMeaning(state verdict.State) string {
	switch state {
	case verdict.Blocked:
		return "Admission refuses the Pod: the workload cannot be re-created at all."
	case verdict.Drifted:
		return "A re-created Pod would carry another injected spec."
	case verdict.Missing:
		return "Injection would now add a sidecar; the Pod has none."
	case verdict.Orphaned:
		return "The Pod has a sidecar; injection would now add none."
	case verdict.Modified:
		return "A sidecar was changed in place on the live Pod."
	case verdict.Unstable:
		return "Fresh injections differ among themselves."
	case verdict.Unknown:
		return "The question could not be asked."
	case verdict.InSync:
		return "A re-created Pod would carry the same sidecar."
	case verdict.Mutated:
		return "No sidecar, but admission now changes the Pod differently."
	case verdict.NotInjected:
		return "No sidecar, no difference."
	}
	return ""
}
