package verdict

import (
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// configuring are the annotations by which injectors hand something to what sets up a
// Pod's network or mounts on its node, and that nothing in the spec shows. A key that ends
// in "*" stands for all that begin so.
//
// A key belongs here if admission writes it, if a CNI plugin, a CSI driver or a runtime
// reads it when the Pod starts, and if it is the same for Pods that are alike: no hash, no
// time, no address of one Pod, and nothing that is written once the Pod runs, as
// ambient.istio.io/redirection, k8s.v1.cni.cncf.io/network-status and
// cni.projectcalico.org/podIP are.
var configuring = []string{
	// Kuma, and Kong Mesh: kuma-cni takes all that it redirects from these.
	// github.com/kumahq/kuma app/cni/pkg/cni and
	// pkg/plugins/runtime/k8s/metadata/annotations.go
	"traffic.kuma.io/*",
	"kuma.io/transparent-proxying*",
	"kuma.io/builtindns*",
	"kuma.io/sidecar-uid",

	// Consul: consul-cni takes the rules of iptables from it.
	// github.com/hashicorp/consul-k8s control-plane/cni/main.go
	"consul.hashicorp.com/redirect-traffic-config",

	// Istio: istio-cni reads them, and the injector writes them where that is enabled.
	// github.com/istio/istio cni/pkg/plugin/sidecar_redirect.go and
	// manifests/charts/istio-control/istio-discovery/files/injection-template.yaml
	"sidecar.istio.io/interceptionMode",
	"traffic.sidecar.istio.io/*",
	"istio.io/reroute-virtual-interfaces",

	// Linkerd: linkerd-cni reads them, and the injector copies them from the namespace.
	// github.com/linkerd/linkerd2-proxy-init cni-plugin/main.go
	"config.linkerd.io/skip-inbound-ports",
	"config.linkerd.io/skip-outbound-ports",
	"config.linkerd.io/skip-subnets",
	"config.linkerd.io/inbound-port",
	"config.linkerd.io/outbound-port",
	"config.linkerd.io/proxy-uid",
	"config.linkerd.io/proxy-gid",

	// AWS App Mesh: its CNI plugin, and Fargate, read them.
	// github.com/aws/aws-app-mesh-controller-for-k8s pkg/inject/constants.go
	"appmesh.k8s.aws/appmeshCNI",
	"appmesh.k8s.aws/ports",
	"appmesh.k8s.aws/egressIgnoredIPs",
	"appmesh.k8s.aws/egressIgnoredPorts",
	"appmesh.k8s.aws/proxyEgressPort",
	"appmesh.k8s.aws/proxyIngressPort",
	"appmesh.k8s.aws/ignoredUID",

	// Multus: which networks a Pod has. Istio and Kuma add theirs to it.
	// https://github.com/k8snetworkplumbingwg/multi-net-spec
	"k8s.v1.cni.cncf.io/networks",
	"v1.multus-cni.io/default-network",

	// GKE: its networks, and its Cloud Storage volumes.
	// https://cloud.google.com/kubernetes-engine/docs/how-to/setup-multinetwork-support-for-pods
	// https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-storage-fuse-csi-driver-setup
	"networking.gke.io/interfaces",
	"networking.gke.io/default-interface",
	"gke-gcsfuse/volumes",

	// Calico and Cilium: from which pools a Pod gets its addresses.
	// https://docs.tigera.io/calico/latest/reference/configure-cni-plugins
	// https://docs.cilium.io/en/stable/network/concepts/ipam/multi-pool
	"cni.projectcalico.org/ipv4pools",
	"cni.projectcalico.org/ipv6pools",
	"ipam.cilium.io/ip-pool",

	// The CNI plugin bandwidth.
	// https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/#support-traffic-shaping
	"kubernetes.io/ingress-bandwidth",
	"kubernetes.io/egress-bandwidth",
}

// Configuring returns the annotations that count without being asked for; a key that ends
// in "*" stands for all that begin so.
func Configuring() []string { return configuring }

// configures reports whether the annotation counts, as one that is known to configure or
// as one of the given keys.
func configures(key []byte, more []string) bool {
	isKey := func(known string) bool {
		beginning, all := strings.CutSuffix(known, "*")
		return len(key) >= len(beginning) && string(key[:len(beginning)]) == beginning && (all || len(key) == len(beginning))
	}
	return slices.ContainsFunc(configuring, isKey) || slices.Contains(more, string(key))
}

// ownAnnotations is what our own annotations begin with.
const ownAnnotations = "sidecar-drift.io/"

// CheckAnnotation says what is wrong with the key of an annotation that is to be compared.
func CheckAnnotation(key string) error {
	switch {
	case key == "":
		return errors.New("it is empty: give the key of an annotation, such as example.com/redirect-ports")
	case strings.Contains(key, "="):
		return errors.New("give the key alone, without = and a value")
	case strings.HasPrefix(key, ownAnnotations):
		return errors.New("sidecar-drift's own annotations are never compared")
	}
	if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
		return errors.New("it is no key of an annotation: give one such as example.com/redirect-ports")
	}
	return nil
}
