package cli

import (
	"errors"
	"fmt"
)

const (
	// codeFound is the exit code of a command that worked and found what it
	// was asked to look out for: drift, a difference, a rollout that failed.
	codeFound = 1
	// codeError is that of bad usage and of errors.
	codeError = 2
)

// outcome is how a command ended, other than well.
type outcome struct {
	code int
	// err is what to tell the user; nil where the report says it.
	err error
	// usage adds where to look the usage up.
	usage bool
}

func (o *outcome) Error() string {
	if o.err == nil {
		return fmt.Sprintf("exit code %d", o.code)
	}
	return o.err.Error()
}

func (o *outcome) Unwrap() error { return o.err }

// negative ends the command with exit code 1 and no message.
func negative() error { return &outcome{code: codeFound} }

// misuse is an error in the command line.
func misuse(format string, args ...any) error {
	return &outcome{code: codeError, err: fmt.Errorf(format, args...), usage: true}
}

// asOutcome gives errors that carry no exit code that of errors.
func asOutcome(err error) *outcome {
	if o, ok := errors.AsType[*outcome](err); ok {
		return o
	}
	return &outcome{code: codeError, err: err}
}
