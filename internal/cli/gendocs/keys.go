package main

import (
	"fmt"
	"reflect"
	"strings"
)

// keyTable lists every key of the configuration, in the order of the types, as a
// Markdown table.
func keyTable(defaults reflect.Value, c comments) string {
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	writeKeys(&b, "", defaults.Type(), defaults, c)
	return b.String()
}

func writeKeys(b *strings.Builder, path string, t reflect.Type, defaults reflect.Value, c comments) {
	for field := range t.Fields() {
		name, modes, _ := strings.Cut(field.Tag.Get("json"), ",")
		var value reflect.Value
		preset := ""
		if defaults.IsValid() {
			value = defaults.FieldByIndex(field.Index)
			preset = shown(value)
		}
		if modes == "" {
			preset = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path+name, typeName(field), preset, inCell.Replace(c.ofField(t, field.Name)))
		switch below := field.Type; {
		case below == durationType:
		case below.Kind() == reflect.Struct:
			writeKeys(b, path+name+".", below, value, c)
		case below.Kind() == reflect.Slice && below.Elem().Kind() == reflect.Struct:
			writeKeys(b, path+name+"[].", below.Elem(), reflect.Value{}, c)
		}
	}
}

// inCell escapes what Markdown would take for its own.
var inCell = strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`)

func shown(value reflect.Value) string {
	preset := inJSON(value)
	if preset == nil {
		return ""
	}
	return "`" + strings.Trim(fmt.Sprint(preset), "[]") + "`"
}

// typeName says what a key's value is, limits included.
func typeName(field reflect.StructField) string {
	name := nameOf(field.Type)
	least, most := limit(field, "minimum"), limit(field, "maximum")
	switch {
	case most != nil:
		return fmt.Sprintf("%s, %d to %d", name, *least, *most)
	case least != nil:
		return fmt.Sprintf("%s, %d or more", name, *least)
	}
	return name
}

func nameOf(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case choices[t] != nil:
		return strings.Join(choices[t], ", ")
	case patterns[t] != "":
		return "HH:MM"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list"
	case t.Kind() == reflect.Slice && choices[t.Elem()] != nil:
		return "list of " + nameOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + nameOf(t.Elem()) + "s"
	case t.Kind() == reflect.Struct:
		return "map"
	}
	return t.Kind().String()
}

// replace puts text between the page's markers <!-- NAME --> and <!-- /NAME -->.
func replace(page, name, text string) (string, error) {
	opening, closing := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(page, opening)
	_, after, closed := strings.Cut(rest, closing)
	if !ok || !closed {
		return "", fmt.Errorf("configuration.md has no lines %q and %q", strings.TrimSpace(opening), strings.TrimSpace(closing))
	}
	return before + opening + text + closing + after, nil
}
