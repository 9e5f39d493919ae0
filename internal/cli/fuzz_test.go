package cli

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2022-05-01", "2022-05-01 13:00", "2022-05-01T13:00:07+02:00", "9999-12-31 23:59:59", "9999-12-31T23:59:59-23:59",
		"0000-01-01T00:00:00+23:59", "2024-02-30", "2022-05-01 13:00:07.999999999", "2022-05-01T13:00:60Z", "\xff", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTime(text)
		if err != nil {
			return
		}
		if got.Location() != time.UTC {
			t.Errorf("%q is in %v, want UTC", text, got.Location())
		}
		value := timeValue(got)
		again, err := parseTime(value.String())
		inRange := got.Year() >= 0 && got.Year() <= 9999 && !got.IsZero() // zones may take it out
		if inRange && (err != nil || !again.Equal(got.Truncate(time.Second))) {
			t.Errorf("%q is %v, and printed and read again %v, %v", text, got, again, err)
		}
	})
}

func FuzzParseWorkload(f *testing.F) {
	for _, seed := range []string{
		"deploy/web", "deployments.v1.apps/web", "po/a.b", "/", "true", "FALSE", "ro/web", "pods.v1./a", "deploy/a/b", "DEPLOY.APPS/x",
		"deploy/" + strings.Repeat("a", 254), "\x1b[31m/web", "deploy/\xff", "ſts/web",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		got, err := parseWorkload(argument)
		if err != nil {
			checkMessage(t, err, argument)
			return
		}
		again, err := parseWorkload(got.Kind + "/" + got.Name)
		if err != nil || again != got {
			t.Errorf("%q is %v, which reads as %v, %v", argument, got, again, err)
		}
	})
}

// checkMessage: an error names what was given, and is one line of plain text.
func checkMessage(t *testing.T, err error, given string) {
	t.Helper()
	message := err.Error()
	if !strings.Contains(message, strconv.Quote(given)) {
		t.Errorf("the error does not name %q: %s", given, message)
	}
	if strings.ContainsFunc(message, func(r rune) bool { return r < ' ' }) {
		t.Errorf("the error for %q holds control characters: %q", given, message)
	}
}

// FuzzFlagValues: what a flag has read it prints so that it reads the same
// again, and what it refuses leaves no trace.
func FuzzFlagValues(f *testing.F) {
	for _, seed := range []string{
		"true", "False", "T", "yes", "1", "+1", "-1", "0", "0x10", "007", "1_000", "9223372036854775808", "100", "100%", "%", "50%%", " 5",
		"json", "JSON", "table", "text", "Drifted", "drifted, InSync,BLOCKED", "Drifted,", ",", "ſ", "K", "2022-05-01", "\xff", "\x00",
	} {
		for kind := range uint8(6) {
			f.Add(kind, seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		value, again := flagValue(kind), flagValue(kind)
		before := value.String()
		if err := value.Set(text); err != nil {
			if kind := value.Type(); kind != "time" && kind != "states" && value.String() != before {
				t.Errorf("%s: %q is refused, and yet makes it %s", kind, text, value)
			}
			return
		}
		printed := value.String()
		if err := again.Set(printed); err != nil {
			if value.Type() != "time" { // of a year that has five digits in UTC
				t.Errorf("%s: %q prints as %q: %v", value.Type(), text, printed, err)
			}
			return
		}
		if again.String() != printed {
			t.Errorf("%s: %q prints as %q, and that as %q", value.Type(), text, printed, again)
		}
	})
}

// flagValue returns a value of one of the kinds that flags have.
func flagValue(kind uint8) pflag.Value {
	switch kind % 6 {
	case 0:
		return new(timeValue)
	case 1:
		return new(switchValue)
	case 2:
		return new(countValue)
	case 3:
		return new(percentValue)
	case 4:
		return &choice[report.Format]{
			value: new(report.Format), allowed: []report.Format{"table", report.JSON}, aliases: map[string]report.Format{"text": "table"},
		}
	default:
		return &statesValue{new([]verdict.State), verdict.States()}
	}
}

// FuzzSelection reads a command line of one flag and one argument: it is
// refused as misuse that names the flag, or means the same written again.
func FuzzSelection(f *testing.F) {
	for _, seed := range []string{"", "shop", "shop,", `"a,b"`, `"`, "a\nb", "Shop", "a=b", "key in (a,b)", "!k", "a==b,c", "container/x:env[A]", "*:", "*:x", "2", "InSync", "\xff"} {
		for flag := range uint8(len(selectionFlags)) {
			f.Add(flag, seed, "")
		}
		f.Add(uint8(0), "shop", "deploy/"+seed)
	}
	f.Fuzz(func(t *testing.T, flag uint8, text, argument string) {
		name := selectionFlags[int(flag)%len(selectionFlags)]
		args := []string{"--" + name + "=" + text}
		if argument != "" {
			args = append(args, "--", argument)
		}
		got, flags, err := parseSelection(args)
		if err != nil {
			if !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), strconv.Quote(argument)) && !strings.Contains(err.Error(), "contradict") {
				t.Errorf("%q: the error names neither flag nor argument: %v", args, err)
			}
			return
		}
		if again := flags.Lookup(name).Value; again.Type() == "stringSlice" {
			args[0] = "--" + name + "=" + written(t, again.(pflag.SliceValue).GetSlice())
		} else if again.Type() != "stringArray" {
			args[0] = "--" + name + "=" + again.String()
		}
		same, _, err := parseSelection(args)
		if err != nil {
			t.Fatalf("%q, written again as %q: %v", text, args, err)
		}
		if diff := cmp.Diff(got, same, cmp.AllowUnexported(selection{})); diff != "" {
			t.Errorf("%q, written again as %q:\n%s", text, args, diff)
		}
		if namespaces := slices.Concat(got.includeNamespaces, got.excludeNamespaces, got.sidecarNames); slices.Contains(namespaces, "") {
			t.Errorf("%q is taken, and names nothing", args)
		}
	})
}

var selectionFlags = []string{"namespace", "include-namespace", "exclude-namespace", "selector", "state", "sidecar-container-name", "ignore-path", "concurrency", "include-autoscaled"}

func parseSelection(args []string) (*selection, *pflag.FlagSet, error) {
	s := &selection{namespace: new(string)}
	cmd := &cobra.Command{}
	s.addFlags(cmd, "", verdict.States())
	if err := cmd.ParseFlags(args); err != nil {
		return nil, nil, err
	}
	if err := s.complete(cmd, cmd.Flags().Args()); err != nil {
		return nil, nil, err
	}
	return s, cmd.Flags(), s.validate()
}

// written is a list as a flag's value.
func written(t *testing.T, items []string) string {
	var line strings.Builder
	w := csv.NewWriter(&line)
	if err := w.Write(items); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

// FuzzParsePairs: a preview's pairs mean the same written again, or the error
// names them.
func FuzzParsePairs(f *testing.F) {
	for _, seed := range []string{"istio.io/rev=1-28", "a=", "=b", "a=b=c", "a", "", "x/y/z=1", "a=\xff", "a=\n", "a=" + strings.Repeat("b", 64)} {
		f.Add(seed, "a=b")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got, err := parsePairs("with-annotation", []string{first, second}, nil)
		if err != nil {
			if _, only := parsePairs("with-annotation", []string{first}, nil); only != nil {
				checkMessage(t, err, first)
			} else {
				checkMessage(t, err, second)
			}
			return
		}
		var pairs []string
		for key, value := range got {
			pairs = append(pairs, key+"="+value)
		}
		again, err := parsePairs("with-annotation", pairs, nil)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%q, %q: %v %s", first, second, err, diff)
		}
	})
}
