package injection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// What Istio's injector rewrites of a Pod it keeps in the Pod, for its agent and for itself
// (istio.io/istio pkg/kube/inject, app_probe.go and webhook.go). What it finds rewritten it takes
// for its own, and keeps nothing.
const (
	// proberRecord is the proxy's variable with others' probes and hooks.
	proberRecord = "ISTIO_KUBE_APP_PROBERS"
	// scrapeRecord is the proxy's variable with the annotations for Prometheus.
	scrapeRecord = "ISTIO_PROMETHEUS_ANNOTATIONS"
	// overrideRecord is the annotation with the containers that the injector made its own of.
	overrideRecord = "proxy.istio.io/overrides"
)

type tree = map[string]any

// restore puts back into a reconstructed Pod what Istio's injector has rewritten of the live one,
// as far as that says what it was. What cannot be read stays as it is.
func (p *pod) restore(live jsontree.Node) {
	records := recordsOf(live)
	p.restoreScrape(records[scrapeRecord])
	overrides := live.Get("metadata", "annotations").Get(overrideRecord).String()
	if records[proberRecord] == "" && overrides == "" {
		return
	}
	var made, is tree
	if decodeInto(p.Spec, &made) != nil || decodeInto(live.Get("spec").Raw(), &is) != nil {
		return
	}
	restoreProbes(made, is, records[proberRecord])
	restoreContainers(made, overrides)
	if spec, err := json.Marshal(made); err == nil {
		p.Spec = spec
	}
}

// recordsOf are the variables in which the injector keeps something, of any container.
func recordsOf(live jsontree.Node) map[string]string {
	records := map[string]string{}
	for _, lists := range []string{"containers", "initContainers"} {
		for container := range live.Get("spec", lists).Children() {
			for variable := range container.Get("env").Children() {
				if name := variable.Get("name").String(); name == proberRecord || name == scrapeRecord {
					records[name] = variable.Get("value").String()
				}
			}
		}
	}
	return records
}

// restoreScrape restores the annotations for Prometheus.
func (p *pod) restoreScrape(record string) {
	var original struct {
		Scrape, Path, Port string
		Targets            []struct{ Port, Path string }
	}
	if record == "" || json.Unmarshal([]byte(record), &original) != nil {
		return
	}
	var targets []string
	for _, target := range original.Targets {
		targets = append(targets, target.Port+":"+target.Path)
	}
	for name, value := range map[string]string{
		"prometheus.io/scrape": original.Scrape, "prometheus.io/path": original.Path, "prometheus.io/port": original.Port,
		"prometheus.istio.io/scrape-targets": strings.Join(targets, ","),
	} {
		delete(p.Metadata.Annotations, name)
		if value != "" {
			p.Metadata.Annotations[name] = value
		}
	}
}

// handlers are what a probe or a hook is made of, of which it has one.
var handlers = []string{"httpGet", "tcpSocket", "grpc"}

// restoreProbes restores probes and hooks that are rewritten in the live spec.
func restoreProbes(made, live tree, record string) {
	var originals map[string]tree
	if record == "" || decodeInto([]byte(record), &originals) != nil {
		return
	}
	restore := func(of, was tree, field, path string) {
		handler, _ := of[field].(tree)
		rewritten, _ := was[field].(tree)
		get, _ := rewritten["httpGet"].(tree)
		original := originals[path]
		if handler == nil || original == nil || get["path"] != path {
			return
		}
		for _, kind := range handlers {
			delete(handler, kind)
			if action := original[kind]; action != nil {
				handler[kind] = action
			}
		}
	}
	for _, lists := range []string{"containers", "initContainers"} {
		running := byName(live[lists])
		for name, container := range byName(made[lists]) {
			hooks, _ := container["lifecycle"].(tree)
			were, _ := running[name]["lifecycle"].(tree)
			restore(container, running[name], "readinessProbe", "/app-health/"+name+"/readyz")
			restore(container, running[name], "livenessProbe", "/app-health/"+name+"/livez")
			restore(container, running[name], "startupProbe", "/app-health/"+name+"/startupz")
			restore(hooks, were, "preStop", "/app-lifecycle/"+name+"/prestopz")
			restore(hooks, were, "postStart", "/app-lifecycle/"+name+"/poststartz")
		}
	}
}

// restoreContainers restores the containers that the injector made its own of, or filled in:
// each at its place if it has one, else as the last.
func restoreContainers(made tree, record string) {
	var originals tree
	if record == "" || decodeInto([]byte(record), &originals) != nil {
		return
	}
	for _, lists := range []string{"containers", "initContainers"} {
		for _, name := range slices.Sorted(maps.Keys(byName(originals[lists]))) {
			original := byName(originals[lists])[name]
			if image, _ := original["image"].(string); image == "" {
				original["image"] = "auto"
			}
			original["volumeMounts"] = withoutTokens(original["volumeMounts"])
			items, _ := made[lists].([]any)
			at := slices.IndexFunc(items, func(item any) bool {
				container, _ := item.(tree)
				return container["name"] == name
			})
			if at >= 0 {
				items[at] = original
			} else {
				made[lists] = append(items, original)
			}
		}
	}
}

// withoutTokens are mounts without those that the API server adds, of a volume whose name it
// makes up.
func withoutTokens(mounts any) []any {
	items, _ := mounts.([]any)
	return slices.DeleteFunc(slices.Clone(items), func(item any) bool {
		mount, _ := item.(tree)
		name, _ := mount["name"].(string)
		return strings.HasPrefix(name, podspec.TokenVolume)
	})
}

// decodeInto reads JSON, of which numbers stay as they are.
func decodeInto(document []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func byName(list any) map[string]tree {
	items, _ := list.([]any)
	named := map[string]tree{}
	for _, item := range items {
		if object, ok := item.(tree); ok {
			named[fmt.Sprint(object["name"])] = object
		}
	}
	return named
}
