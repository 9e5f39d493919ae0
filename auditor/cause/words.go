package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// verdict puts writes into words, the first of which is of a certainty, all others
// possible.
func (l *Ledger) verdict(c Change, fits []fit, first Certainty, doubt string) Verdict {
	var v Verdict
	for i, f := range fits[:min(len(fits), mostWrites)] {
		write := f.write()
		if i == 0 {
			write.Certainty = first
		}
		v.Writes = append(v.Writes, write)
	}
	phrase := func(i int) string { return v.Writes[i].phrase(c.By) }
	switch {
	case first == Sure:
		v.By = phrase(0)
	case first == Likely:
		v.By = fmt.Sprintf("most likely %s; not sure, as %s", phrase(0), doubt)
	case len(fits) == 1:
		v.By = fmt.Sprintf("perhaps %s, %s; %s", phrase(0), v.Writes[0].Why, l.nothing(c))
	default:
		v.By = fmt.Sprintf("one of these %s%s: %s; %s", number(len(fits)), alike(fits), phrase(0), phrase(1))
		if len(fits) > 2 {
			v.By += "; …"
		}
		if unseen := l.unseen(c); unseen != "" {
			v.By += "; not read: " + unseen
		}
	}
	return v
}

// alike says that all have one manager.
func alike(fits []fit) string {
	manager := fits[0].manager
	if manager == "" || slices.ContainsFunc(fits, func(f fit) bool { return f.manager != manager }) {
		return ""
	}
	if len(fits) == 2 {
		return ", both by " + manager
	}
	return ", all by " + manager
}

func number(n int) string {
	words := []string{"two", "three", "four", "five"}
	if at := n - 2; at < len(words) {
		return words[at]
	}
	return fmt.Sprint(n)
}

func (f fit) write() Write {
	write := Write{
		Kind: f.object.Kind, Namespace: f.object.Namespace, Name: f.object.Name, Others: f.others,
		Manager: f.manager, What: f.what, Certainty: Possible, Why: f.why(),
	}
	for _, field := range f.fields[:min(len(f.fields), mostNamed)] {
		write.Fields = append(write.Fields, printable.CutBytes(field, longestShown))
	}
	if f.timed {
		at := f.after.UTC()
		write.Time = &at
	}
	return write
}

func (f fit) why() string {
	why := map[timing]string{
		later:   "written since, which hides what the same manager wrote before",
		before:  "shortly before injection last answered as before",
		skewed:  "right after the change was seen, as clocks go",
		roughly: "between two looks",
		inside:  "between the last answer before the change and the first after it",
	}[f.timing]
	add := func(is bool, text string) {
		if is {
			why += "; " + text
		}
	}
	add(f.removed, "who removes a field leaves no name")
	add(f.untold, "its managedFields tell of no such write")
	add(f.beside, "it is of another injector than the one that adds what differs, and may rewrite that")
	add(f.object.Link == MayRead, "the injector may read it")
	add(f.hint > 0, "its fields are of that kind")
	add(f.hint < 0, "its fields are of another kind")
	add(f.exact, "it is about no other namespaces than the change is")
	add(f.narrow, "it is about all namespaces, and the change is of some")
	add(f.partial, "it is about some of the namespaces that the change is of")
	return why
}

// Object is KIND NAMESPACE/NAME, and how many more.
func (c Write) Object() string {
	name := c.Kind + " " + c.Name
	if c.Namespace != "" {
		name = fmt.Sprintf("%s %s/%s", c.Kind, c.Namespace, c.Name)
	}
	if c.Others > 0 {
		name += fmt.Sprintf(" and %d more", c.Others)
	}
	return name
}

// Who is the manager, or that there is none.
func (c Write) Who() string {
	if c.Manager == "" {
		return "somebody"
	}
	return c.Manager
}

// phrase is: helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s
// before it was seen.
func (c Write) phrase(seen time.Time) string {
	text := fmt.Sprintf("%s %s %s", c.Who(), c.What, c.Object())
	if c.What == Updated && len(c.Fields) > 0 {
		shown := c.Fields[:min(len(c.Fields), 3)]
		text += " (" + strings.Join(shown, ", ")
		if len(c.Fields) > len(shown) {
			text += ", …"
		}
		text += ")"
	}
	if c.Time == nil {
		return text
	}
	switch ago := seen.Sub(*c.Time); {
	case ago < 0:
		return text + ", right after it was seen"
	case ago < time.Hour:
		return text + ", " + duration.HumanDuration(ago) + " before it was seen"
	}
	return text + ", at " + c.Time.Format("2006-01-02 15:04 UTC")
}

// Short says in few columns whose change it is: helm; helm? where that is only likely; helm
// or kubectl; nothing where nobody looked.
func (v Verdict) Short() string {
	if len(v.Writes) == 0 {
		if v.By == "" {
			return ""
		}
		return "not known"
	}
	first := v.Writes[0]
	switch first.Certainty {
	case Sure:
		return first.Who()
	case Likely:
		return first.Who() + "?"
	}
	var names []string
	for _, c := range v.Writes {
		if !slices.Contains(names, c.Who()) {
			names = append(names, c.Who())
		}
	}
	switch len(names) {
	case 1:
		return names[0] + "?"
	case 2:
		return names[0] + " or " + names[1]
	}
	return names[0] + " or others"
}
