package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestInForce: what a node has refused to give has not come to be.
func TestInForce(t *testing.T) {
	pod := func(cpu, more string) []byte {
		return fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app"},{"name":"proxy","resources":{"requests":{"cpu":%q,"ephemeral-storage":"1Gi"}}}],
			"initContainers":[{"name":"native","restartPolicy":"Always","resources":{"limits":{"memory":"2Gi"}}}]}%s}`, cpu, more)
	}
	status := func(conditions string) string {
		return `,"status":{"conditions":[{"type":"Ready","status":"True"}` + conditions + `],
			"containerStatuses":[{"name":"app"},{"name":"proxy","resources":{"requests":{"cpu":"100m","ephemeral-storage":"1Gi"}}}],
			"initContainerStatuses":[{"name":"native","resources":{"limits":{"memory":"1Gi"},"requests":{"memory":"1Gi"}}}]}`
	}
	behind := func(observed int) string {
		return `,"metadata":{"generation":2}` + strings.Replace(status(""), `"status":{`, fmt.Sprintf(`"status":{"observedGeneration":%d,`, observed), 1)
	}
	const refused, requests, limits = `,{"type":"PodResizePending","status":"True","reason":"Infeasible"}`, "container/proxy:resources.requests.cpu", "initContainer/native:resources.limits.memory"
	for name, test := range map[string]struct {
		cpu, status string
		want        []string
	}{
		"no status at all":         {"200m", "", nil},
		"it was granted":           {"200m", status(""), nil},
		"it was refused":           {"200m", status(refused), []string{requests, limits}},
		"it is pending no more":    {"200m", status(`,{"type":"PodResizePending","status":"False"}`), nil},
		"refused, and not said of": {"200m", `,"status":{"conditions":[{"type":"Ready","status":"True"}` + refused + `]}`, nil},
		"not looked at yet":        {"200m", behind(1), []string{requests, limits}},
		"looked at, and granted":   {"200m", behind(2), nil},
		"a kubelet that tells not": {"200m", behind(0), nil},
		"refused to a person":      {"300m", status(refused), []string{requests, limits}},
	} {
		live := parse(t, pod(test.cpu, test.status))
		v, err := Judge(Input{Live: live, Fresh: parse(t, pod("200m", "")), Template: parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range v.Changes {
			if c.Place() != "initContainer/native:resources.requests.memory" {
				got = append(got, c.Place())
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: differs at %v, want %v", name, got, test.want)
		}
		digest, err := DigestOf(live)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := DigestOf(parse(t, pod(test.cpu, "")))
		if err != nil {
			t.Fatal(err)
		}
		if (digest != asked) != (test.want != nil) {
			t.Errorf("%s: the digest is that of what it asks for: %t", name, digest == asked)
		}
	}
}
