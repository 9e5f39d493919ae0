package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// timeLayouts are the accepted forms of a time, RFC 3339 apart. They are UTC:
// the machine's own zone would make one command mean two things.
var timeLayouts = []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// parseTime reads a time in one of timeLayouts, or in RFC 3339 with its zone.
func parseTime(text string) (time.Time, error) {
	for _, layout := range append(timeLayouts, time.RFC3339) {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New(`give a time as 2006-01-02, "2006-01-02 15:04", "2006-01-02 15:04:05" (UTC) or 2006-01-02T15:04:05+01:00`)
}

// timeValue is a flag's time.
type timeValue time.Time

func (v *timeValue) Set(text string) error {
	t, err := parseTime(text)
	*v = timeValue(t)
	return err
}

func (v *timeValue) String() string {
	if time.Time(*v).IsZero() {
		return ""
	}
	return time.Time(*v).Format(time.RFC3339)
}

func (v *timeValue) Type() string { return "time" }

// addSwitch adds a flag that can be given alone, or as --name=true or
// --name=False, as argparse's users write it.
func addSwitch(flags *pflag.FlagSet, value *bool, name, usage string) {
	flags.VarPF((*switchValue)(value), name, "", usage).NoOptDefVal = "true"
}

type switchValue bool

func (v *switchValue) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("give true or false")
	}
	*v = switchValue(on)
	return nil
}

func (v *switchValue) String() string { return strconv.FormatBool(bool(*v)) }

// Type is pflag's name for switches: its help shows them without a value.
func (v *switchValue) Type() string { return "bool" }

// addCount adds a flag that takes a number of things, at least one.
func addCount(flags *pflag.FlagSet, value *int, name string, preset int, usage string) {
	*value = preset
	flags.Var((*countValue)(value), name, usage)
}

type countValue int

func (v *countValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("give a whole number, 1 or more")
	}
	*v = countValue(n)
	return nil
}

func (v *countValue) String() string { return strconv.Itoa(int(*v)) }

func (v *countValue) Type() string { return "int" }

// addPercent adds a flag that takes a percentage, 1 to 100.
func addPercent(flags *pflag.FlagSet, value *int, name, usage string) {
	flags.Var((*percentValue)(value), name, usage)
}

type percentValue int

func (v *percentValue) Set(text string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 1 || n > 100 {
		return errors.New("give a percentage, 1 to 100")
	}
	*v = percentValue(n)
	return nil
}

func (v *percentValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.Itoa(int(*v))
}

func (v *percentValue) Type() string { return "int" }

// choice is a flag that takes one of a few words.
type choice[T ~string] struct {
	value   *T
	allowed []T
	aliases map[string]T
}

func (c *choice[T]) Set(text string) error {
	if word, ok := c.aliases[text]; ok {
		text = string(word)
	}
	if !slices.Contains(c.allowed, T(text)) {
		if len(c.allowed) == 1 {
			return fmt.Errorf("this version has %s only", c.allowed[0])
		}
		return fmt.Errorf("choose %s", oneOf(c.words()))
	}
	*c.value = T(text)
	return nil
}

func (c *choice[T]) String() string {
	return string(*c.value)
}

func (c *choice[T]) Type() string { return "string" }

// addChoice adds a flag that takes one of the allowed words; they stand for the
// %s of its usage.
func addChoice[T ~string](flags *pflag.FlagSet, value *T, name, shorthand, usage string, allowed ...T) {
	c := &choice[T]{value: value, allowed: allowed}
	flags.VarP(c, name, shorthand, fmt.Sprintf(usage, oneOf(c.words())))
}

// words lists what may be chosen.
func (c *choice[T]) words() []string {
	words := make([]string, len(c.allowed))
	for i, word := range c.allowed {
		words[i] = string(word)
	}
	return words
}

// statesValue is a flag's list of states, in any case.
type statesValue struct {
	value   *[]verdict.State
	offered []verdict.State // to complete by; the command says why it takes no others
}

func (v *statesValue) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		known := verdict.States()
		i := slices.IndexFunc(known, func(s verdict.State) bool { return strings.EqualFold(string(s), strings.TrimSpace(word)) })
		if i < 0 {
			return fmt.Errorf("unknown state %q: choose from %s", word, joinStates(known))
		}
		if !slices.Contains(*v.value, known[i]) {
			*v.value = append(*v.value, known[i])
		}
	}
	return nil
}

func (v *statesValue) String() string { return strings.ReplaceAll(joinStates(*v.value), ", ", ",") }

func (v *statesValue) Type() string { return "states" }

func (v *statesValue) words() []string { return strings.Split(joinStates(v.offered), ", ") }

func joinStates(states []verdict.State) string {
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = string(state)
	}
	return strings.Join(words, ", ")
}

// oneOf joins words as a sentence does: "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
