// Package cause says whose change it is that injection answers otherwise: it compares what
// objects tell of their last writes with when a change began, what it is of, and how far it
// reaches. It is pure; auditor/cause/inputs finds the objects.
package cause

import (
	"time"
)

// Certainty is how sure it is that a write made a change.
type Certainty string

// Certainties, the greatest first.
const (
	// Sure: nothing else that the injector reads was written then, and all of that was seen.
	Sure Certainty = "sure"
	// Likely: nothing else fits as well, but not all that may have made it can be seen.
	Likely Certainty = "likely"
	// Possible: it is one of several that fit.
	Possible Certainty = "possible"
)

// Certainties are all that there are.
func Certainties() []Certainty { return []Certainty{Sure, Likely, Possible} }

// Write is a write of an object that may have made a change.
type Write struct {
	// Kind, Namespace and Name are the object's; several objects that the same manager wrote
	// alike are one, named by the first of them.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Others is how many more objects there are.
	Others int `json:"others,omitempty"`
	// Manager is who wrote it, as managedFields has it; empty where that is not known.
	Manager string `json:"manager,omitempty"`
	// What was done to the object.
	What What `json:"what"`
	// Fields are those that the manager has written, then or before, at most five.
	Fields []string `json:"fields,omitempty"`
	// Time of the write, to the second; nil where only the interval is known.
	Time *time.Time `json:"time,omitempty"`
	// Certainty that it is the cause.
	Certainty Certainty `json:"certainty"`
	// Why it fits, in words.
	Why string `json:"why,omitempty"`
}

// What was done to an object.
type What string

// What may be done to an object.
const (
	Created What = "created"
	Updated What = "updated"
	Deleted What = "deleted"
)

// Verdict says whose change it is.
type Verdict struct {
	// By is one sentence without its full stop: whose change it is, or why that is not known.
	By string `json:"by"`
	// Writes, the likeliest first, at most five.
	Writes []Write `json:"writes,omitempty"`
}
