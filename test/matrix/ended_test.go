package matrix

import (
	"encoding/json"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// endedRows are injected init containers that have run to their end, beside a sidecar:
// what of them is spent, so that nothing is restarted for it alone, and what is not, as
// they may have set up what still runs.
func endedRows() []row {
	const (
		part       = "initContainer/setup"
		image      = part + " image"
		one, two   = `"image":"setup:1"`, `"image":"setup:2"`
		netAdmin   = `,"securityContext":{"runAsUser":0,"capabilities":{"add":["NET_ADMIN","NET_RAW"]}}`
		privileged = `,"securityContext":{"privileged":true}`
	)
	volumes := []injector.Operation{
		add("/spec/volumes/-", object(`{"name":"shared","emptyDir":{}}`)), add("/spec/volumes/-", object(`{"name":"own","emptyDir":{}}`)),
		add("/spec/volumes/-", object(`{"name":"node","hostPath":{"path":"/opt/agent"}}`)),
		add("/spec/containers/0/volumeMounts/-", object(`{"name":"shared","mountPath":"/agent"}`)),
	}
	with := func(proxy, setup string) answers {
		return always(append(slices.Clip(volumes), add("/spec/containers/-", object(`{"name":"proxy","image":"`+proxy+`"}`)),
			add("/spec/initContainers", json.RawMessage(`[{"name":"setup",`+setup+`}]`)))...)
	}
	ended := func(name, before, then string, changes ...string) row {
		return row{group: "init containers that have ended", name: name, before: with("proxy:1", before), then: with("proxy:1", then), state: verdict.Drifted, changes: changes}
	}
	spent := func(r row, places ...string) row {
		if r.spent = places; places == nil {
			r.spent = r.changes
		}
		return r
	}
	amounts := func(cpu string) string { return one + `,"resources":{"requests":{"cpu":"` + cpu + `"}}` }
	mounts := func(volume, more string) string {
		return `,"volumeMounts":[{"name":"` + volume + `","mountPath":"/x"` + more + `}]`
	}
	beside := ended("its image, and the sidecar's", one, two, "container/proxy image", image)
	beside.then = with("proxy:2", two)
	return []row{
		spent(ended("its image", one, two, image)),
		spent(ended("its resources and pull policy", amounts("10m"), amounts("20m")+`,"imagePullPolicy":"Always"`, part+" imagePullPolicy", part+" resources.requests.cpu")),
		spent(ended("its user", one+`,"securityContext":{"runAsUser":1}`, one+`,"securityContext":{"runAsUser":2}`, part+" securityContext.runAsUser")),
		spent(beside, image),
		ended("its arguments", one+`,"args":["-p","1"]`, one+`,"args":["-p","2"]`, part+" args"),
		ended("a variable", one+`,"env":[{"name":"PORT","value":"1"}]`, one+`,"env":[{"name":"PORT","value":"2"}]`, part+" env[PORT].value"),
		spent(ended("its image and its arguments", one+`,"args":["1"]`, two+`,"args":["2"]`, part+" args", image), image),
		ended("it may set up the network: its image", one+netAdmin, two+netAdmin, image),
		spent(ended("it may set up the network: its resources", amounts("10m")+netAdmin, amounts("20m")+netAdmin, part+" resources.requests.cpu")),
		ended("it is privileged: its image", one+privileged, two+privileged, image),
		ended("it becomes privileged", one, one+privileged, part+" securityContext.privileged"),
		ended("it left files for the app: its image", one+mounts("shared", ""), two+mounts("shared", ""), image),
		spent(ended("it only reads the app's files: its image", one+mounts("shared", `,"readOnly":true`), two+mounts("shared", `,"readOnly":true`), image)),
		spent(ended("its files are its own: its image", one+mounts("own", ""), two+mounts("own", ""), image)),
		ended("it left files on the node: its image", one+mounts("node", ""), two+mounts("node", ""), image),
		ended("another one comes", one, one+`},{"name":"more","image":"more:1"`, "initContainer/more"),
	}
}
