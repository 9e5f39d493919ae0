package cause

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Limits of a Ledger's memory.
const (
	mostEvents = 5000
	longest    = 24 * time.Hour // of events, and of how long nothing may be seen
)

// Ledger remembers what was written. What one look tells, each manager's last write, hides
// earlier ones, and nothing tells of a deletion, nor of a field that was removed by an
// update: fields that nobody owns have no time. Two looks tell of all of these. The zero
// value has seen nothing. It is not for concurrent use.
type Ledger struct {
	since, at time.Time // of the first look and of the last
	seen      Seen
	objects   map[id]Object
	events    []*event
}

type id struct{ group, kind, namespace, name string }

func (o Object) id() id { return id{o.Group, o.Kind, o.Namespace, o.Name} }

// event is a write: of which it is known that it was later than after, and not later than by.
// The time of a write is known to the second: it was within that.
type event struct {
	object    Object // without its writes
	manager   string
	what      What
	fields    []string // those that matter, new ones first
	after, by time.Time
	// timed: the write itself tells when it was.
	timed bool
	// removed: the fields were there before, and nobody says who removed them.
	removed bool
	// untold: the object has another version, and no entry of its managedFields is newer.
	untold bool
	// looked is when there was a look before it; zero: never.
	looked time.Time
	// made is when a change was seen of which nothing is as likely the cause.
	made time.Time
}

// Observe takes down a look. One that comes before the last is left out.
func (l *Ledger) Observe(s Seen) {
	if !l.at.IsZero() && s.At.Before(l.at) {
		return
	}
	first := l.objects == nil
	if s.Began.IsZero() {
		s.Began = s.At
	}
	objects := make(map[id]Object, len(s.Objects))
	for _, o := range s.Objects {
		known, again := objects[o.id()]
		if again { // found in two ways
			o = merge(known, o)
		}
		objects[o.id()] = o
	}
	for key, o := range objects {
		before, was := l.objects[key]
		switch {
		case !was || before.UID != o.UID:
			l.written(o, Object{}, s.At)
		case before.Version != o.Version:
			told := l.written(o, before, s.At)
			l.removed(o, before, told, s.At)
		}
	}
	for key, before := range l.objects {
		if _, is := objects[key]; is {
			continue
		}
		if contains(s.Lists, before.List) && !contains(s.Idle, before.UID) {
			l.add(event{object: before, what: Deleted, after: l.seen.Began, by: s.At})
		} else {
			objects[key] = before // it could not be read now
		}
	}
	if first || s.At.Sub(l.at) > longest {
		l.since = s.At
	}
	for _, e := range l.events { // a rollout goes on after the write
		if o, is := objects[e.object.id()]; is && o.UID == e.object.UID {
			e.object.Settled = o.Settled
		}
	}
	l.objects, l.at, l.seen = objects, s.At, s
	l.seen.Objects = nil
	l.forget(first)
}

// merge is what is known of an object that was found twice: whoever reads it goes by it.
func merge(a, b Object) Object {
	a.Link, a.Mounted, a.Sized = max(a.Link, b.Link), a.Mounted || b.Mounted, a.Sized || b.Sized
	if b.Settled.After(a.Settled) {
		a.Settled = b.Settled
	}
	if len(a.Injectors) == 0 || len(b.Injectors) == 0 {
		a.Injectors = nil
	} else {
		for _, injector := range b.Injectors {
			if !contains(a.Injectors, injector) {
				a.Injectors = append(slices.Clip(a.Injectors), injector)
			}
		}
	}
	if len(a.Keys) == 0 || len(b.Keys) == 0 {
		a.Keys = nil
	} else {
		a.Keys = append(slices.Clip(a.Keys), b.Keys...)
	}
	if len(a.Kinds) == 0 || len(b.Kinds) == 0 {
		a.Kinds = nil
	}
	if a.Reach != b.Reach {
		a.Reach = ""
	}
	return a
}

// written takes down the writes that an object tells of since it was seen before, and reports
// whether there are any.
func (l *Ledger) written(o, before Object, at time.Time) (told bool) {
	known := map[manager]Entry{}
	for _, w := range before.Entries {
		known[w.by()] = w
	}
	born := false
	for _, w := range o.Entries {
		last, was := known[w.by()]
		fields := o.mattering(w.Fields)
		isNew := func(field string) bool { // what another manager has taken the rest of was there
			return !slices.ContainsFunc(last.Fields, func(f string) bool { return f == field || below(f, field) })
		}
		grown := w.Time.Equal(last.Time) && slices.ContainsFunc(fields, isNew) // of one second there may be two writes
		if len(fields) == 0 || was && !w.Time.After(last.Time) && !grown {
			continue
		}
		slices.SortStableFunc(fields, func(a, b string) int {
			return cmp.Compare(rank(!isNew(a)), rank(!isNew(b)))
		})
		what := Updated
		if before.UID != o.UID && !w.Time.After(o.Created.Add(time.Second)) {
			what, born = Created, true
		}
		e := event{object: o, manager: w.Manager, what: what, fields: fields, timed: true, after: w.Time, by: w.Time.Add(time.Second)}
		if before.UID == o.UID {
			early, late := e.by.Before(l.seen.Began.Add(-skew)), e.after.After(at.Add(skew))
			if early && w.Manager == ancient {
				continue // each of these was seen when it was written
			}
			if early || late { // whoever may write an object may write its managedFields, too
				e.timed, e.after, e.by = false, l.seen.Began, at
			}
		}
		if w.Manager == ancient {
			e.manager = ""
		}
		l.add(e)
		told = true
	}
	if before.UID == "" && !born && !o.Created.IsZero() && len(o.Entries) == 0 {
		l.add(event{object: o, what: Created, timed: true, after: o.Created, by: o.Created.Add(time.Second)})
	}
	return told
}

// removed takes down fields that are gone, and changes that nothing tells of.
func (l *Ledger) removed(o, before Object, told bool, at time.Time) {
	if before.UID != o.UID {
		return
	}
	now, fields := map[string]bool{}, []string{}
	for _, w := range o.Entries {
		for _, field := range w.Fields {
			now[field], fields = true, append(fields, field)
		}
	}
	var gone []string
	for _, w := range before.Entries {
		if slices.ContainsFunc(slices.Concat(fields, w.Fields), shortened) {
			continue // not all of its fields are known
		}
		for _, field := range o.mattering(w.Fields) {
			if !now[field] && !contains(gone, field) && !slices.ContainsFunc(fields, func(f string) bool { return below(f, field) }) {
				gone = append(gone, field)
			}
		}
	}
	switch {
	case len(gone) > 0:
		slices.Sort(gone)
		l.add(event{object: o, what: Updated, fields: gone, removed: true, after: l.seen.Began, by: at})
	case len(o.Entries) == 0, // its managedFields were taken away
		!told && !o.told().After(before.told()) && o.told().Add(time.Second+skew).Before(l.seen.Began): // or put back
		l.add(event{object: o, what: Updated, untold: true, after: l.seen.Began, by: at})
	}
}

func (l *Ledger) add(e event) {
	e.object.Entries, e.looked = nil, l.at
	if e.timed {
		l.events = slices.DeleteFunc(l.events, func(known *event) bool { // the same, or of the same second
			return known.timed && known.object.UID == e.object.UID && known.manager == e.manager && known.after.Equal(e.after)
		})
	}
	l.events = append(l.events, &e)
}

// forget bounds what is remembered, but for what the last look tells.
func (l *Ledger) forget(first bool) {
	slices.SortStableFunc(l.events, func(a, b *event) int {
		return cmp.Or(a.by.Compare(b.by), cmp.Compare(a.object.Kind, b.object.Kind), cmp.Compare(a.object.Namespace, b.object.Namespace),
			cmp.Compare(a.object.Name, b.object.Name), cmp.Compare(a.manager, b.manager), cmp.Compare(a.what, b.what))
	})
	if !first {
		l.events = slices.DeleteFunc(l.events, func(e *event) bool { return l.at.Sub(e.by) > longest })
	}
	if over := len(l.events) - mostEvents; over > 0 {
		if last := l.events[over-1].by; last.After(l.since) {
			l.since = last
		}
		l.events = slices.Delete(l.events, 0, over)
	}
}

// mattering are the fields that matter.
func (o Object) mattering(fields []string) []string {
	return slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return !o.matters(f) })
}

func rank(is bool) int {
	if is {
		return 1
	}
	return 0
}

func contains(list []string, one string) bool { return slices.Contains(list, one) }

// all reports whether there are paths, and each goes through a field of the name.
func all(paths []string, field string) bool {
	return len(paths) > 0 && !slices.ContainsFunc(paths, func(p string) bool {
		return p != field && !below(p, field)
	})
}

// below reports whether a path goes on from a field.
func below(path, field string) bool {
	return strings.HasPrefix(path, field+".") || strings.HasPrefix(path, field+"[")
}
