package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
)

const (
	notifyFlag = "notify"
	notifyForm = "name=NAME,kind=webhook|slack|shoutrrr,urlFile=FILE|urlEnv=VARIABLE[,caFile=FILE][,events=EVENT+EVENT…][,maxMessages=N][,period=DURATION]"
)

func addNotify(flags *pflag.FlagSet, sinks *[]config.Sink) {
	addList(flags, sinks, parseSink, notifyFlag, "Who is told of drift, blocked workloads, injectors that are down and rollouts, as a `sink`: "+notifyForm+". A template needs the file of --config. Repeatable: see docs/notifications.md.")
}

// parseSink reads a sink. A URL has no place on a command line, which everybody on the
// machine and in the cluster may read; and the error does not repeat it.
func parseSink(text string) (config.Sink, error) {
	var s config.Sink
	fields := map[string]func(string) error{
		"name": into(&s.Name), "kind": into(&s.Kind), "urlFile": into(&s.URLFile), "urlEnv": into(&s.URLEnv), "caFile": into(&s.CAFile),
		"events": func(value string) error {
			for event := range strings.SplitSeq(value, "+") {
				s.Events = append(s.Events, notify.Event(event))
			}
			return nil
		},
		"maxMessages": func(value string) (err error) { s.MaxMessages, err = strconv.Atoi(value); return err },
		"period":      func(value string) (err error) { s.Period.Duration, err = time.ParseDuration(value); return err },
	}
	for item := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(item, "=")
		set := fields[name]
		if set == nil || value == "" {
			return s, errors.New("give " + notifyForm)
		}
		if err := set(value); err != nil {
			return s, errors.New(name + " is wrong: give " + notifyForm)
		}
		delete(fields, name)
	}
	return s, nil
}

// withoutSink is a flag's error without what was given for a sink: that may be a URL.
func withoutSink(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok && invalid.GetFlag().Name == notifyFlag {
		return fmt.Errorf("--%s: %w", notifyFlag, invalid.Unwrap())
	}
	return err
}

func into[T ~string](field *T) func(string) error {
	return func(value string) error { *field = T(value); return nil }
}
