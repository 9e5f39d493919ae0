package report

// Cause is of which kind a failure is, without a name in it: failures of one cause may have
// the same reason, whichever workloads they befell.
type Cause string

// Causes. "Sidecar" is about containers that were injected, "App" about the others.
const (
	CauseSidecarImage    Cause = "SidecarImage"    // its image cannot be pulled
	CauseSidecarCrash    Cause = "SidecarCrash"    // it ends, or never starts
	CauseSidecarNotReady Cause = "SidecarNotReady" // it runs, and is not ready
	CauseAppImage        Cause = "AppImage"
	CauseAppCrash        Cause = "AppCrash"
	CauseAppNotReady     Cause = "AppNotReady"
	CauseNoRoom          Cause = "NoRoom"        // no node takes the new Pods
	CauseQuota           Cause = "Quota"         // a quota refuses them
	CauseBudget          Cause = "Budget"        // a PodDisruptionBudget keeps the old ones
	CauseRefused         Cause = "Refused"       // admission refuses them otherwise
	CauseNotConverging   Cause = "NotConverging" // its new Pods differ, too
	CauseReverted        Cause = "Reverted"      // its template was put back
	CauseTooLong         Cause = "TooLong"       // it took longer than it may in all
	CauseCanary          Cause = "Canary"        // it did not stay healthy
	CauseOther           Cause = "Other"
)
