// Package doctor examines an installation, and the cluster that it is in, and
// says for each thing that may be wrong what to do about it. It changes nothing.
//
// It stands beside the rooms that data flows through (Pod, fingerprint, verdict,
// report, rollout) and not in one of them: it reads what they all rest on, and
// nothing that it finds goes into a verdict. Each examination reads (methods of
// examiner) and judges (functions of values).
package doctor
