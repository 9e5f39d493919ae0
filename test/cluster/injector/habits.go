package injector

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// This file holds the habits of real injectors: what they look at before they answer,
// and what they answer with. Each wraps the Answer that is given to a Pod that is meant.

// DaprWebhook is the name of Dapr's webhook.
const DaprWebhook = "sidecar-injector.dapr.io"

// Admins are the group that an API server lets do everything.
const Admins = "system:masters"

const controllerAccounts = "system:serviceaccount:kube-system:"

// lookUpTimeout bounds what an injector asks the API server for.
const lookUpTimeout = 5 * time.Second

// WhereAnnotated answers about Pods that have the annotation with that value, or whose
// namespace has it while they say nothing, as Linkerd does (linkerd.io/inject: enabled):
// no selector of the webhook tells.
func WhereAnnotated(annotation, value string, answer Answer) Answer {
	return func(r Request) []Operation {
		has, own := r.Pod.Annotations[annotation]
		if !own {
			ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
			defer cancel()
			namespace, err := r.Client.CoreV1().Namespaces().Get(ctx, r.Namespace, metav1.GetOptions{})
			if err != nil {
				return Fails(r)
			}
			has = namespace.Annotations[annotation]
		}
		if has != value {
			return nil
		}
		return answer(r)
	}
}

// ForControllers answers about Pods that a controller's ServiceAccount creates, or who
// may do everything, and about no others, as Dapr does
// (github.com/dapr/dapr pkg/injector/service, AllowedControllersServiceAccounts).
func ForControllers(answer Answer) Answer {
	return func(r Request) []Operation {
		if !strings.HasPrefix(r.User.Username, controllerAccounts) && !slices.Contains(r.User.Groups, Admins) {
			return nil
		}
		return answer(r)
	}
}

// ByWhom has admins given another answer than everybody else: Kyverno's policies may
// exclude them, and OpenShift gives them another security context constraint.
func ByWhom(admins, others Answer) Answer {
	return func(r Request) []Operation {
		if slices.Contains(r.User.Groups, Admins) {
			return admins(r)
		}
		return others(r)
	}
}

// Nothing leaves every Pod as it is.
func Nothing(Request) []Operation { return nil }

// Refuses refuses every Pod.
func Refuses(message string) Answer {
	return func(r Request) []Operation { return r.Refuse(message) }
}

// NotInDryRuns answers about Pods that are to be, and not about those of a dry run, as
// Kruise's WorkloadSpread does, which counts the Pods that it lets through.
func NotInDryRuns(answer Answer) Answer {
	return func(r Request) []Operation {
		if r.DryRun {
			return nil
		}
		return answer(r)
	}
}

// ForClaims looks up each claim of the Pod, and does what missing says where there is
// none of that name: JuiceFS' webhook refuses such a Pod (see [ClaimNotFound]), others
// leave it as it is, as the Cloud Storage FUSE driver's does ([SkipsClaim]).
func ForClaims(missing func(r Request, claim string) []Operation, answer Answer) Answer {
	return func(r Request) []Operation {
		ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
		defer cancel()
		for _, volume := range r.Pod.Spec.Volumes {
			if volume.PersistentVolumeClaim == nil {
				continue
			}
			name := volume.PersistentVolumeClaim.ClaimName
			_, err := r.Client.CoreV1().PersistentVolumeClaims(r.Namespace).Get(ctx, name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return missing(r, name)
			case err != nil:
				return Fails(r)
			}
		}
		return answer(r)
	}
}

// ClaimNotFound refuses the Pod.
func ClaimNotFound(r Request, claim string) []Operation {
	return r.Refuse(fmt.Sprintf("persistentvolumeclaims %q not found", claim))
}

// SkipsClaim leaves the Pod as it is.
func SkipsClaim(Request, string) []Operation { return nil }

// Variables sets variables in the app's containers that do not have them, and adds
// nothing else: so does OpenTelemetry's inject-sdk, and so do those that give Pods an
// identity of a cloud, as Azure's workload identity.
func Variables(variables ...corev1.EnvVar) Answer {
	return func(r Request) []Operation {
		var operations []Operation
		for i, container := range r.Pod.Spec.Containers {
			path := fmt.Sprintf("/spec/containers/%d/env", i)
			some := len(container.Env) > 0
			for _, variable := range variables {
				if slices.ContainsFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == variable.Name }) {
					continue
				}
				if !some {
					operations, some = append(operations, Operation{Op: "add", Path: path, Value: []corev1.EnvVar{variable}}), true
					continue
				}
				operations = append(operations, Operation{Op: "add", Path: path + "/-", Value: variable})
			}
		}
		return operations
	}
}

// Annotates sets annotations of the Pod, whatever it has of these: so do the injectors that
// hand the redirection of traffic to a CNI plugin, as Kuma's and Consul's.
func Annotates(annotations map[string]string) Answer {
	return func(r Request) []Operation {
		if len(r.Pod.Annotations) == 0 {
			return []Operation{{Op: "add", Path: "/metadata/annotations", Value: annotations}}
		}
		var operations []Operation
		for _, key := range slices.Sorted(maps.Keys(annotations)) {
			operations = append(operations, Operation{Op: "add", Path: "/metadata/annotations/" + escaped.Replace(key), Value: annotations[key]})
		}
		return operations
	}
}

// escaped is a key in a JSON pointer (RFC 6901).
var escaped = strings.NewReplacer("~", "~0", "/", "~1")

// Network adds a network to those that the Pod asks Multus for, as Istio's injector does
// where its CNI plugin runs under Multus.
func Network(name string) Answer {
	const networks = "k8s.v1.cni.cncf.io/networks"
	return func(r Request) []Operation {
		if own := r.Pod.Annotations[networks]; own != "" {
			return Annotates(map[string]string{networks: own + ", " + name})(r)
		}
		return Annotates(map[string]string{networks: name})(r)
	}
}

// OfOwner sets a variable to what the Pod's owner is, as OpenTelemetry's operator does
// in OTEL_RESOURCE_ATTRIBUTES.
func OfOwner(variable, version string) Answer {
	return func(r Request) []Operation {
		value := "k8s.namespace.name=" + r.Namespace + ",service.version=" + version
		if owner := metav1.GetControllerOf(r.Pod); owner != nil {
			value = fmt.Sprintf("k8s.%s.name=%s,%s", strings.ToLower(owner.Kind), owner.Name, value)
		}
		return Variables(corev1.EnvVar{Name: variable, Value: value})(r)
	}
}

// OrdinalVariable is that of a Pod's place in its group, in LeaderWorkerSet.
const OrdinalVariable = "LWS_WORKER_INDEX"

// Ordinal sets a variable to the Pod's place among its siblings.
func Ordinal(variable string, of func(*corev1.Pod) string) Answer {
	return func(r Request) []Operation {
		return Variables(corev1.EnvVar{Name: variable, Value: of(r.Pod)})(r)
	}
}

// OrdinalOfName is what follows the last dash of the Pod's name, as LeaderWorkerSet's
// webhook reads it.
func OrdinalOfName(pod *corev1.Pod) string {
	return pod.Name[strings.LastIndex(pod.Name, "-")+1:]
}

// OrdinalOfLabel is what the StatefulSet's controller has put into a label, which
// policies read.
func OrdinalOfLabel(pod *corev1.Pod) string { return pod.Labels["apps.kubernetes.io/pod-index"] }

// Orders returns all items in another order at each call, as they come out of a Go map,
// which Vault's injector writes its secrets from. No order comes twice before each has
// come once: what is really random would make a test fail now and then.
func Orders(items ...string) func() []string {
	n := 0
	return func() []string {
		left, order := slices.Clone(items), []string{}
		for rest := n; len(left) > 0; {
			at := rest % len(left)
			rest /= len(left)
			order = append(order, left[at])
			left = slices.Delete(left, at, at+1)
		}
		n++
		return order
	}
}

// VaultAgent adds Vault's agent, whose configuration is JSON in base64 with a template for
// each secret, in the given order.
func VaultAgent(image, memory, address string, secrets func() []string) Answer {
	return func(Request) []Operation {
		templates := []map[string]any{}
		for _, secret := range secrets() {
			templates = append(templates, map[string]any{
				"destination": "/vault/secrets/" + secret, "left_delimiter": "{{", "right_delimiter": "}}",
				"contents": fmt.Sprintf("{{ with secret %q }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}", "database/creds/"+secret),
			})
		}
		configuration, err := json.Marshal(map[string]any{
			"auto_auth": map[string]any{
				"method": map[string]any{"type": "kubernetes", "mount_path": "auth/kubernetes", "config": map[string]string{"role": "app"}},
				"sink":   []map[string]any{{"type": "file", "config": map[string]string{"path": "/home/vault/.vault-token"}}},
			},
			"exit_after_auth": false, "pid_file": "/home/vault/.pid", "template": templates, "vault": map[string]string{"address": address},
			"template_config": map[string]any{"exit_on_retry_failure": true},
		})
		if err != nil {
			panic(err) // of maps of texts
		}
		return []Operation{AddContainer(corev1.Container{
			Name: "vault-agent", Image: image, Args: []string{"echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json"},
			Env:       []corev1.EnvVar{{Name: "VAULT_CONFIG", Value: base64.StdEncoding.EncodeToString(configuration)}},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}},
		})}
	}
}

// Each has every Answer given, one after the other, none of which sees what another
// does.
func Each(answers ...Answer) Answer {
	return func(r Request) []Operation {
		var operations []Operation
		for _, answer := range answers {
			operations = append(operations, answer(r)...)
		}
		return operations
	}
}
