package rollout

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// LastRolloutAnnotation of a workload's own metadata remembers the last
// rollout, for later runs and for people.
const LastRolloutAnnotation = "sidecar-drift.io/last-rollout"

// lastRollout is the annotation's value.
type lastRollout struct {
	// Digest of what fresh injection gave (digestOf) when Result was found: for
	// Interrupted, which a restart begins with, before it.
	Digest string        `json:"digest"`
	Time   time.Time     `json:"time"`
	Result report.Result `json:"result"`
	// TakenBack is when a restart was last taken back; nil: none was, or a later one stood.
	TakenBack *time.Time `json:"takenBack,omitempty"`
}

// parseLastRollout reads the annotation; a value that is not ours counts as
// none, since anybody may have written it.
func parseLastRollout(value string) (lastRollout, bool) {
	var last lastRollout
	err := json.Unmarshal([]byte(value), &last)
	return last, err == nil && last.Digest != ""
}

// last is the workload's last rollout, if one is remembered.
func (f facts) last() (lastRollout, bool) {
	return parseLastRollout(f.annotations[LastRolloutAnnotation])
}

func (l lastRollout) annotation() (string, error) {
	value, err := json.Marshal(l)
	return string(value), err
}

// digestOf identifies what fresh injection would make of a workload: the SHA-256, in
// hex, over the fresh value (To) at each place where a live Pod differs. What varies from
// one injection to the next is not in it, nor a stamp, which covers that. The live side,
// the names of revisions and the order of anything have no part in it, so a workload that
// still differs after a restart keeps its digest for as long as injection stays as it is.
func digestOf(item report.Item) (string, error) {
	var lines [][]byte
	for _, r := range item.Revisions {
		for _, c := range verdict.Stable(slices.Concat(r.Changes, r.BiasedChanges)) {
			line, err := canonical([]any{c.Part, c.Path, c.To})
			if err != nil {
				return "", fmt.Errorf("digest of %s %s/%s, change at %s %s: %w",
					item.Kind, item.Namespace, item.Name, c.Part, c.Path, err)
			}
			lines = append(lines, line)
		}
	}
	slices.SortFunc(lines, bytes.Compare)
	lines = slices.CompactFunc(lines, bytes.Equal)
	sum := sha256.Sum256(bytes.Join(lines, []byte("\n")))
	return hex.EncodeToString(sum[:]), nil
}

func canonical(v any) ([]byte, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(encoded)
	if err := value.Canonicalize(); err != nil {
		return nil, err
	}
	return value, nil
}
