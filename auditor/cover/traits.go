package cover

import (
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

var (
	containerLists = []string{"initContainers", "containers"}
	probes         = []string{"startupProbe", "livenessProbe", "readinessProbe"}
)

// auto is the image of a container that is left to the injector.
// https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection
const auto = "auto"

// literal are fields of the Pod whose value says how it is run.
var literal = []string{
	"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "dnsPolicy", "restartPolicy",
	"automountServiceAccountToken", "runtimeClassName", "hostUsers", "setHostnameAsFQDN",
}

// present are fields of which it counts that they are there: what they hold is the
// application's own.
var present = []string{
	"affinity", "nodeSelector", "tolerations", "topologySpreadConstraints", "imagePullSecrets", "hostAliases", "dnsConfig",
	"serviceAccountName", "priorityClassName", "terminationGracePeriodSeconds", "readinessGates", "os", "resources",
}

// traits takes down how a Pod is built.
func (f *finder) traits(spec jsontree.Node) {
	if !spec.Exists() {
		return
	}
	for _, field := range literal {
		if value := spec.Get(field); value.Exists() {
			f.add(value.String(), "pod", field)
		}
	}
	for _, field := range present {
		if spec.Get(field).Exists() {
			f.add("", "pod", field)
		}
	}
	f.security(spec.Get("securityContext"), "pod", "securityContext")
	for volume := range spec.Get("volumes").Children() {
		for source := range volume.Children() {
			if kind := string(source.Name()); kind != "name" {
				f.add("", "volume", kind)
			}
		}
	}
	for _, list := range containerLists {
		n := 0
		for c := range spec.Get(list).Children() {
			n++
			f.container(list, c)
		}
		f.add(few(n), "number of", list)
	}
}

// few says how many: from three on they are many.
func few(n int) string { return strconv.Itoa(min(n, 3)) }

// container takes down how a container is built. Its name counts, as injectors find
// their own by it.
func (f *finder) container(list string, c jsontree.Node) {
	f.add(f.own.Replace(c.Get("name").String()), list, "name")
	if c.Get("image").String() == auto {
		f.add("", list, "image auto")
	}
	if policy := c.Get("restartPolicy"); policy.Exists() {
		f.add(policy.String(), list, "restartPolicy")
	}
	for _, field := range []string{"command", "args", "env", "envFrom", "workingDir", "stdin", "tty", "volumeDevices"} {
		if c.Get(field).Exists() {
			f.add("", list, field)
		}
	}
	for _, probe := range probes {
		f.handler(c.Get(probe), list, probe)
	}
	for hook := range c.Get("lifecycle").Children() {
		f.handler(hook, list, "lifecycle "+string(hook.Name()))
	}
	ports := 0
	for port := range c.Get("ports").Children() {
		ports++
		if protocol := port.Get("protocol").String(); protocol != "" && protocol != "TCP" {
			f.add(protocol, list, "protocol")
		}
		if port.Get("hostPort").Exists() {
			f.add("", list, "hostPort")
		}
		if _, purpose, named := strings.Cut(port.Get("name").String(), "-"); named {
			f.add("", list, "port of a protocol", strings.TrimSuffix(port.Get("name").String(), "-"+purpose))
		}
	}
	f.add(few(ports), list, "number of ports")
	for kind := range c.Get("resources").Children() {
		for quantity := range kind.Children() {
			f.add("", list, string(kind.Name()), string(quantity.Name()))
		}
	}
	f.security(c.Get("securityContext"), list, "securityContext")
}

// handler takes down how a probe or a hook is run.
func (f *finder) handler(handler jsontree.Node, place ...string) {
	for kind := range handler.Children() {
		if kind.Kind() == jsontree.Object {
			f.add(string(kind.Name())+" "+kind.Get("scheme").String(), place...)
		}
	}
}

// security takes a security context down. Of a user's or group's number it counts
// whether it is root's.
func (f *finder) security(context jsontree.Node, place ...string) {
	at := func(field string) []string { return append(place[:len(place):len(place)], field) }
	for field := range context.Children() {
		name := string(field.Name())
		switch field.Kind() {
		case jsontree.Object:
			f.security(field, at(name)...)
		case jsontree.Array:
			for item := range field.Children() {
				f.add(item.String(), at(name)...)
			}
		case jsontree.Number:
			f.add(map[bool]string{true: "root", false: "other"}[string(field.Raw()) == "0"], at(name)...)
		default:
			f.add(field.String(), at(name)...)
		}
	}
}
