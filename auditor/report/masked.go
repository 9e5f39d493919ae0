package report

import (
	"bytes"
	"encoding/json"
	"regexp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// envValue is the path of an environment variable's value.
var envValue = regexp.MustCompile(`(?:^|\.)env\[(.*)\]\.value$`)

// envItem is the path of an environment variable.
var envItem = regexp.MustCompile(`(?:^|\.)env\[.*\]$`)

// Masked returns the report with mask's answer for the name and the value of
// each environment variable among the changes, as "diff" masks them: for
// renderings that end up before more eyes than may read Pods. The rest of a
// report, reasons included, is shared with the original.
func (r *Report) Masked(mask func(name, value string) string) *Report {
	masked := *r
	masked.Items = append([]Item{}, r.Items...)
	for i := range masked.Items {
		revisions := append([]Revision{}, masked.Items[i].Revisions...)
		for j := range revisions {
			revisions[j].Changes = maskChanges(revisions[j].Changes, mask)
		}
		masked.Items[i].Revisions = revisions
	}
	return &masked
}

func maskChanges(changes []verdict.Change, mask func(name, value string) string) []verdict.Change {
	masked := append([]verdict.Change{}, changes...)
	for i := range masked {
		c := &masked[i]
		c.From, c.To = maskValue(c.Path, c.From, mask), maskValue(c.Path, c.To, mask)
	}
	return masked
}

// maskValue returns the value at a path with masks in it, and the value itself
// where nothing is to be masked.
func maskValue(path string, raw json.RawMessage, mask func(name, value string) string) json.RawMessage {
	if raw == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return raw
	}
	changed := false
	visit := func(name, text string) string {
		shown := mask(name, text)
		changed = changed || shown != text
		return shown
	}
	if text, ok := value.(string); ok {
		if of := envValue.FindStringSubmatch(path); of != nil {
			value = visit(of[1], text)
		}
	} else {
		maskEnv(value, envItem.MatchString(path) || path == "env", visit)
	}
	if !changed {
		return raw
	}
	masked, err := json.Marshal(value)
	if err != nil {
		return raw // cannot be: it was decoded from JSON
	}
	return masked
}

// maskEnv masks within a value that is, where env is true, a variable or a list
// of them.
func maskEnv(value any, env bool, visit func(name, text string) string) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			maskEnv(item, env, visit)
		}
	case map[string]any:
		if text, ok := value["value"].(string); ok && env {
			name, _ := value["name"].(string)
			value["value"] = visit(name, text)
		}
		for key, child := range value {
			maskEnv(child, key == "env", visit)
		}
	}
}
