package matrix

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

const placed = "where a Pod runs, and what is handed to its node"

// placedRows are fields that others than injectors set, too, and annotations that
// configure something on the node.
func placedRows() []row {
	return append(accountRows(), annotationRows()...)
}

// accountRows are Pods of a ServiceAccount that lends them pull secrets.
func accountRows() []row {
	const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: NAME, namespace: IN}\nimagePullSecrets: [%s]\n---"
	of := func(name, own, later string, before, then injector.Answer, changes ...string) row {
		r := row{
			group: placed, name: "a ServiceAccount's pull secrets: " + name, state: verdict.InSync, changes: changes,
			manifest: "\n" + fmt.Sprintf(account, own) + strings.Replace(deployment, "spec: {containers", "spec: {serviceAccountName: NAME, containers", 1),
			before:   answers{first: before}, then: answers{first: then},
		}
		if len(changes) > 0 {
			r.state = verdict.Drifted
		}
		if later == "" {
			return r
		}
		r.change = func(ctx context.Context, w *workload) error {
			if err := w.kubectl(ctx, "patch", "serviceaccount", "NAME", "-p", `{"imagePullSecrets":[{"name":"`+later+`"}]}`); err != nil {
				return err
			}
			return w.admits(ctx, func(pod *corev1.Pod) bool {
				return len(pod.Spec.ImagePullSecrets) == 1 && pod.Spec.ImagePullSecrets[0].Name == later
			}, func(pod *corev1.Pod) { pod.Spec.ServiceAccountName = w.id() })
		}
		return r
	}
	pulls := func(secret string) injector.Answer {
		return injector.Each(addsProxy("proxy:1"), func(injector.Request) []injector.Operation {
			return []injector.Operation{add("/spec/imagePullSecrets/-", map[string]string{"name": secret})}
		})
	}
	proxy := addsProxy("proxy:1")
	return []row{
		of("the first comes", "", "registry", proxy, proxy),
		of("another one takes its place", "{name: registry}", "mirror", proxy, proxy),
		of("and nothing changes, beside an injector's own", "{name: registry}", "", pulls("mesh"), pulls("mesh")),
		of("an injector begins to add its own", "{name: registry}", "", proxy, pulls("mesh"), "pod imagePullSecrets[mesh]"),
		of("an injector's own becomes another one", "{name: registry}", "", pulls("mesh-1"), pulls("mesh-2"), "pod imagePullSecrets[mesh-1]", "pod imagePullSecrets[mesh-2]"),
	}
}

// annotationRows are injectors that hand something to the node in an annotation.
func annotationRows() []row {
	const kuma, networks = "traffic.kuma.io/transparent-proxy-config", "k8s.v1.cni.cncf.io/networks"
	place := func(key string) string { return "metadata annotations[" + key + "]" }
	redirects := func(ports string) injector.Answer {
		return injector.Each(addsProxy("proxy:1"), injector.Annotates(map[string]string{kuma: "cniMode: true\nexcludePorts: \"" + ports + "\"\n"}))
	}
	alone := func(ports string) injector.Answer { return injector.Annotates(map[string]string{kuma: ports}) }
	status := func(hash string) injector.Answer {
		return injector.Each(addsProxy("proxy:1"), injector.Annotates(map[string]string{"mesh.test/hash": hash, "sidecar.istio.io/status": `{"revision":"` + hash + `"}`}))
	}
	network := func(name string) injector.Answer { return injector.Each(addsProxy("proxy:1"), injector.Network(name)) }
	annotated := func(name string, before, then injector.Answer, changes ...string) row {
		r := habit(name, before, then, changes...)
		r.group = placed
		return r
	}
	own := annotated("like Istio's with Multus: a network beside the template's own, another one", network("istio-cni"), network("istio-cni-2"), place(networks))
	own.manifest = strings.Replace(deployment, "template: {metadata: {", "template: {metadata: {annotations: {"+networks+": own}, ", 1)
	ownStays := annotated("like Istio's with Multus: a network beside the template's own, and nothing changes", network("istio-cni"), network("istio-cni"))
	ownStays.manifest = own.manifest
	agent := annotated("a CNI agent writes on the live Pod", redirects("1"), redirects("1"))
	agent.change = onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
		return w.patchPod(ctx, pod, types.MergePatchType,
			`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[]","ambient.istio.io/redirection":"enabled","k8s.v1.cni.cncf.io/networks":"agent"}}}`)
	})
	goes := annotated("like Kuma's with its CNI plugin: the annotation goes", redirects("1"), addsProxy("proxy:1"), place(kuma))
	goes.orphaned = true
	return []row{
		annotated("like Kuma's with its CNI plugin: an annotation, and nothing changes", redirects("1"), redirects("1")),
		annotated("like Kuma's with its CNI plugin: an annotation, another port", redirects("1"), redirects("2"), place(kuma)),
		annotated("like Kuma's with its CNI plugin: the annotation comes", addsProxy("proxy:1"), redirects("1"), place(kuma)),
		goes,
		annotated("an annotation that configures, and no sidecar", alone("1"), alone("2"), place(kuma)).notInjected().as(verdict.Mutated),
		annotated("a hash and a status in annotations", status("1"), status("2")),
		own, ownStays, agent,
	}
}
