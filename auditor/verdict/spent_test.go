package verdict

import (
	"fmt"
	"strings"
	"testing"
)

// TestSpent: what says how an init container ran is spent once that has ended, unless it may
// have left files behind.
func TestSpent(t *testing.T) {
	const initialized = `,"status":{"conditions":[{"type":"Ready","status":"False"},{"type":"Initialized","status":"True"}]}`
	init := func(fields string) string { return `{"name":"init"` + fields + `}` }
	pod := func(init, more string) []byte {
		return fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app","volumeMounts":[{"name":"shared","mountPath":"/agent"},{"name":"config","mountPath":"/etc"}]}],"initContainers":[%s],
			"volumes":[{"name":"shared","emptyDir":{}},{"name":"own","emptyDir":{}},{"name":"config","configMap":{"name":"c"}},{"name":"host","hostPath":{"path":"/opt"}}]}%s}`, init, more)
	}
	mounting := func(volume, more string) string {
		return `,"volumeMounts":[{"name":"` + volume + `","mountPath":"/x"` + more + `}]`
	}
	resources := func(cpu string) string { return `,"image":"i:1","resources":{"requests":{"cpu":"` + cpu + `"}}` }
	netAdmin := func(more string) string {
		return `,"securityContext":{"runAsUser":0,"capabilities":{"add":["NET_ADMIN","NET_RAW"]` + more + `}}`
	}
	const privileged = `,"securityContext":{"privileged":true}`
	for name, test := range map[string]struct {
		live, fresh, status string
		want                bool
	}{
		"its image":                {`,"image":"i:1"`, `,"image":"i:2"`, initialized, true},
		"its resources":            {resources("1"), resources("2"), initialized, true},
		"its security context":     {`,"securityContext":{"runAsUser":1}`, `,"securityContext":{"runAsUser":2}`, initialized, true},
		"of iptables, its image":   {netAdmin("") + `,"image":"i:1"`, netAdmin("") + `,"image":"i:2"`, initialized, false},
		"of iptables, how it ran":  {netAdmin("") + resources("1"), netAdmin("") + resources("2") + `,"imagePullPolicy":"Always"`, initialized, true},
		"of iptables, its context": {netAdmin(""), netAdmin(`,"drop":["ALL"]`), initialized, false},
		"it may do more now":       {`,"securityContext":{"runAsUser":0}`, netAdmin(""), initialized, false},
		"it could do more":         {netAdmin(""), `,"securityContext":{"runAsUser":0}`, initialized, false},
		"it drops capabilities":    {`,"securityContext":{"capabilities":{"drop":["ALL"],"add":[]}},"image":"i:1"`, `,"securityContext":{"capabilities":{"drop":["ALL"],"add":[]}},"image":"i:2"`, initialized, true},
		"privileged, its image":    {privileged + `,"image":"i:1"`, privileged + `,"image":"i:2"`, initialized, false},
		"privileged, its amounts":  {privileged + resources("1"), privileged + resources("2"), initialized, true},
		"it has not ended":         {`,"image":"i:1"`, `,"image":"i:2"`, strings.Replace(initialized, `"True"`, `"False"`, 1), false},
		"nothing says so":          {`,"image":"i:1"`, `,"image":"i:2"`, "", false},
		"what it was told":         {`,"args":["-p","1"]`, `,"args":["-p","2"]`, initialized, false},
		"its variables":            {`,"env":[{"name":"A","value":"1"}]`, `,"env":[{"name":"A","value":"2"}]`, initialized, false},
		"it runs on":               {`,"restartPolicy":"Always","image":"i:1"`, `,"restartPolicy":"Always","image":"i:2"`, initialized, false},
		"it would run on":          {`,"image":"i:1"`, `,"restartPolicy":"Always","image":"i:2"`, initialized, false},
		"it shares files":          {mounting("shared", "") + `,"image":"i:1"`, mounting("shared", "") + `,"image":"i:2"`, initialized, false},
		"it only reads those":      {mounting("shared", `,"readOnly":true`) + `,"image":"i:1"`, mounting("shared", `,"readOnly":true`) + `,"image":"i:2"`, initialized, true},
		"it has files of its own":  {mounting("own", "") + `,"image":"i:1"`, mounting("own", "") + `,"image":"i:2"`, initialized, true},
		"it mounts a ConfigMap":    {mounting("config", "") + `,"image":"i:1"`, mounting("config", "") + `,"image":"i:2"`, initialized, true},
		"it wrote to the node":     {mounting("host", "") + `,"image":"i:1"`, mounting("host", "") + `,"image":"i:2"`, initialized, false},
		"it has a device":          {`,"volumeDevices":[{"name":"d","devicePath":"/d"}],"image":"i:1"`, `,"volumeDevices":[{"name":"d","devicePath":"/d"}],"image":"i:2"`, initialized, false},
	} {
		v, err := Judge(Input{
			Live: parse(t, pod(init(test.live), test.status)), Fresh: parse(t, pod(init(test.fresh), "")),
			Template: parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ofInit := 0
		for _, c := range v.Changes {
			if c.Part == "initContainer/init" {
				ofInit++
			}
			if c.Path != "restartPolicy" && c.Spent != (test.want && c.Part == "initContainer/init") {
				t.Errorf("%s: %s is spent: %t", name, c.Place(), c.Spent)
			}
		}
		if ofInit == 0 {
			t.Errorf("%s: nothing of it differs", name)
		}
		if v.State != Drifted {
			t.Errorf("%s: %s", name, v.State)
		}
	}
}
