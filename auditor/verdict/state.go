package verdict

// State says what a re-creation would do to a Pod's sidecars. A workload's
// state is its worst Pod's.
type State string

const (
	// Blocked means that admission refuses the fresh Pod, so the workload cannot be
	// re-created at all.
	Blocked State = "Blocked"
	// Drifted means that a re-created Pod would carry another injected spec.
	Drifted State = "Drifted"
	// Missing means that injection would now add a sidecar, or items of the app's lists;
	// the Pod has none.
	Missing State = "Missing"
	// Orphaned means that the Pod has a sidecar, or such items; injection would now add
	// none.
	Orphaned State = "Orphaned"
	// Modified means that a sidecar was changed in place on the live Pod by a later
	// field manager; otherwise it is in sync.
	Modified State = "Modified"
	// Unstable means that fresh injections of the same Pod differ among themselves.
	Unstable State = "Unstable"
	// Unknown means that the question could not be asked.
	Unknown State = "Unknown"
	// InSync means that a re-created Pod would carry the same injected spec.
	InSync State = "InSync"
	// Mutated means that admission now changes the Pod differently, where nothing is
	// injected before or after, or in the app's own image alone. Not counted, never rolled
	// out.
	Mutated State = "Mutated"
	// NotInjected means that nothing is injected before or after, and no difference.
	NotInjected State = "NotInjected"
)

// States lists every state, worst first.
func States() []State {
	return []State{Blocked, Drifted, Missing, Orphaned, Modified, Unstable, Unknown, InSync, Mutated, NotInjected}
}

// Severity orders states: 0 is the worst. A state that this build does not
// know sorts after those it does.
func (s State) Severity() int {
	states := States()
	for i, known := range states {
		if s == known {
			return i
		}
	}
	return len(states)
}

// Worst returns the worst of the given states, and NotInjected for none.
func Worst(states ...State) State {
	worst := NotInjected
	for _, s := range states {
		if s.Severity() < worst.Severity() {
			worst = s
		}
	}
	return worst
}

// Drift reports whether the state counts into the drift percentage.
func (s State) Drift() bool { return s == Drifted || s == Missing || s == Orphaned }

// Counted reports whether Pods of this state are in the percentage's
// denominator. Blocked Pods are counted apart.
func (s State) Counted() bool { return s.Drift() || s == InSync || s == Modified }

// WorstOf is the worst state that Pods have; NotInjected where there are none.
func WorstOf(pods map[State]int) State {
	state := NotInjected
	for s := range pods {
		state = Worst(state, s)
	}
	return state
}
