package causes

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostDecoys is how many other writes there are at most at the time of a change.
const mostDecoys = 4

// decoy is a write that changes nothing that is injected.
type decoy func(ctx context.Context, w *world) error

// decoys are some for a change, of which each number has others.
func (w *world) decoys(s scenario, n int) []decoy {
	data := func(manager, namespace, name string) decoy {
		return func(ctx context.Context, w *world) error {
			return w.write(ctx, manager, configMaps, namespace, name, fields{"data": fields{"written": fmt.Sprint(n)}})
		}
	}
	easy := []decoy{
		data("pilot-discovery", "istio-system", "istio-ca-root-cert"),
		data("helm", "istio-system", "values"),
		func(ctx context.Context, w *world) error {
			return w.write(ctx, "rancher", configMaps, "istio-system", "istio", fields{"data": fields{"meshNetworks": fmt.Sprint("networks: ", n)}})
		},
		data("kubectl-edit", "own-system", "not-readable"),
		data("argocd-controller", "otel-system", "operator-config"),
		data("kustomize-controller", "plain-a", "app-config"),
		renewsCertificate("test-injector-own"),
		renewsCertificate("istio-sidecar-injector"),
		func(ctx context.Context, w *world) error { // the leader of an election
			return w.write(ctx, "pilot-discovery", configMaps, "istio-system", "istio", fields{"metadata": fields{"annotations": fields{"control-plane.alpha.kubernetes.io/leader": fmt.Sprint(n)}}})
		},
		func(ctx context.Context, w *world) error { // an autoscaler
			_, err := w.Kubectl(ctx, "", "-n", "own-system", "scale", "deployment/own", fmt.Sprint("--replicas=", 1+n%2))
			return err
		},
		func(ctx context.Context, w *world) error { // another namespace
			return w.write(ctx, "helm", namespaces, "", "plain-a", fields{"metadata": fields{"labels": fields{"team": fmt.Sprint("t", n)}}})
		},
		func(ctx context.Context, w *world) error {
			return w.write(ctx, "kubectl-client-side-apply", limitRanges, "plain-a", "others", fields{"spec": fields{"limits": []any{fields{"type": "PersistentVolumeClaim", "max": fields{"storage": fmt.Sprintf("%dGi", 100+n)}}}}})
		},
		func(ctx context.Context, w *world) error {
			return w.write(ctx, "argocd-controller", namespaces, "", "own-b", fields{"metadata": fields{"labels": fields{"argocd.argoproj.io/instance": fmt.Sprint("i", n)}}})
		},
		func(ctx context.Context, w *world) error {
			return w.write(ctx, "helm", secrets, "own-system", "sh.helm.release.v1.own", fields{"stringData": fields{"release": fmt.Sprint(n)}})
		},
	}
	chosen := make([]decoy, 0, mostDecoys)
	for i := range mostDecoys - 1 {
		chosen = append(chosen, easy[(n+4*i)%len(easy)])
	}
	if n%8 == 7 { // one that may have made it, for all that can be known
		switch s.at[:4] {
		case "mesh":
			if s.object[2] != "istio" {
				chosen = append(chosen, func(ctx context.Context, w *world) error {
					return w.write(ctx, "rancher", configMaps, "istio-system", "istio", fields{"data": fields{"mesh": fmt.Sprintf("level: %s # %d", w.mesh.level, n)}})
				})
			}
		case "own-":
			chosen = append(chosen, func(ctx context.Context, w *world) error {
				return w.write(ctx, "rancher", agents, "own-system", "other", fields{"spec": fields{"port": fmt.Sprint(n)}})
			})
		}
	}
	return chosen
}

// renewsCertificate is what a certificate controller does to a webhook configuration: the
// same certificate once more.
func renewsCertificate(configuration string) decoy {
	return func(ctx context.Context, w *world) error {
		object, err := w.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, configuration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		bundle := bytes.TrimSpace(object.Webhooks[0].ClientConfig.CABundle)
		if half := len(bundle) / 2; bytes.Equal(bytes.TrimSpace(bundle[:half]), bytes.TrimSpace(bundle[half:])) {
			bundle = bundle[:half]
		} else {
			bundle = append(append(bundle, '\n'), bundle...)
		}
		return w.jsonPatch(ctx, "cainjector", configurations, configuration, fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, base64.StdEncoding.EncodeToString(append(bundle, '\n'))))
	}
}
