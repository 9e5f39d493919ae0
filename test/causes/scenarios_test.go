package causes

import (
	"context"
	"errors"
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
)

// rounds is how often each kind of change is made in a full run, by another manager each time.
const rounds = 4

// step does something as a manager; of each round it does something else.
type step func(ctx context.Context, w *world, manager string, round int) error

// scenario is one kind of change.
type scenario struct {
	kind string
	at   string // a namespace that has it
	// before is what must be done first, and change what is done then.
	before, change step
	// after has everything be injected again.
	after step
	// manager is who does it; empty: the managers by turns.
	manager string
	// object is what the change is of: KIND, namespace, name.
	object [3]string
	// nameless: who does it leaves no name.
	nameless bool
	// unseen: nothing that may be read tells of it.
	unseen bool
}

// truth reports whether a write is what was done.
func (s scenario) truth(c cause.Write, manager string) bool {
	if s.nameless {
		manager = c.Manager
	}
	return !s.unseen && [3]string{c.Kind, c.Namespace, c.Name} == s.object && c.Manager == manager
}

func scenarios() []scenario {
	all := istioScenarios()
	all = append(all, daprScenarios()...)
	all = append(all, ownScenarios()...)
	return append(all, clusterScenarios()...)
}

func istioScenarios() []scenario {
	template := [3]string{"ConfigMap", "istio-system", "istio-sidecar-injector"}
	// then has Istio configured otherwise, and what it was configured by written.
	then := func(edit func(*mesh, int), write func(context.Context, *world, string) error) step {
		return func(ctx context.Context, w *world, manager string, round int) error {
			edit(&w.mesh, round)
			if err := write(ctx, w, manager); err != nil {
				return err
			}
			return w.configure(ctx)
		}
	}
	proxyConfig := func(namespace, name string, spec func(round int) fields, text func(round int) string) step {
		return func(ctx context.Context, w *world, manager string, round int) error {
			w.mesh.proxyConfigs[namespace+"/"+name] = fmt.Sprintf("---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {name: %s, namespace: %s}\nspec: {%s}\n", name, namespace, text(round))
			if err := w.write(ctx, manager, proxyConfigs, namespace, name, fields{"spec": spec(round)}); err != nil {
				return err
			}
			return w.configure(ctx)
		}
	}
	without := func(namespace, name string) step {
		return func(ctx context.Context, w *world, _ string, _ int) error {
			delete(w.mesh.proxyConfigs, namespace+"/"+name)
			if err := w.delete(ctx, proxyConfigs, namespace, name); err != nil {
				return err
			}
			return w.configure(ctx)
		}
	}
	variables := proxyConfig("istio-system", "global",
		func(round int) fields { return fields{"environmentVariables": fields{"FLAG": fmt.Sprint("on", round)}} },
		func(round int) string { return fmt.Sprintf(`environmentVariables: {FLAG: "on%d"}`, round) })
	concurrency := proxyConfig("mesh-a", "own",
		func(round int) fields { return fields{"concurrency": int64(2 + round)} },
		func(round int) string { return fmt.Sprintf("concurrency: %d", 2+round) })
	label := func(value any) step {
		return func(ctx context.Context, w *world, manager string, _ int) error {
			if value == nil {
				return w.remove(ctx, manager, namespaces, "", "mesh-c", `{"metadata":{"labels":{"istio-injection":null}}}`)
			}
			return w.write(ctx, manager, namespaces, "", "mesh-c", fields{"metadata": fields{"labels": fields{"istio-injection": value}}})
		}
	}
	return []scenario{
		{kind: "Istio: the proxy's image", at: "mesh-a", object: template, change: then(func(m *mesh, round int) { m.tag = fmt.Sprintf("1.28.%d", round) }, writeTemplate)},
		{kind: "Istio: the proxy's CPU", at: "mesh-a", object: template, change: then(func(m *mesh, round int) { m.cpu = fmt.Sprintf("%dm", 110+10*round) }, writeTemplate)},
		{kind: "Istio: a custom template", at: "mesh-a", object: template, change: then(func(m *mesh, round int) { m.template = fmt.Sprint("t", round) }, writeTemplate)},
		{kind: "Istio: the mesh's configuration", at: "mesh-a", object: [3]string{"ConfigMap", "istio-system", "istio"}, change: then(func(m *mesh, round int) { m.level = fmt.Sprint("l", round) }, writeMesh)},
		{kind: "Istio: a ProxyConfig of all", at: "mesh-a", object: [3]string{"ProxyConfig", "istio-system", "global"}, before: without("istio-system", "global"), change: variables},
		{kind: "Istio: a ProxyConfig of all is deleted", at: "mesh-a", object: [3]string{"ProxyConfig", "istio-system", "global"}, nameless: true, before: variables, change: without("istio-system", "global")},
		{kind: "Istio: a namespace's ProxyConfig", at: "mesh-a", object: [3]string{"ProxyConfig", "mesh-a", "own"}, change: concurrency},
		{
			kind: "Istio: a new version of istiod", at: "mesh-a", object: [3]string{"Deployment", "istio-system", "istiod"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				w.mesh.native = !w.mesh.native
				err := w.write(ctx, manager, deployments, "istio-system", "istiod", fields{"spec": fields{"template": fields{"spec": fields{"containers": []any{
					fields{"name": "discovery", "image": fmt.Sprint("pilot:", round), "env": []any{fields{"name": "ENABLE_NATIVE_SIDECARS", "value": fmt.Sprint(w.mesh.native)}}},
				}}}}})
				if err != nil {
					return err
				}
				return w.configure(ctx)
			},
		},
		{kind: "Istio: a namespace's label comes", at: "mesh-c", object: [3]string{"Namespace", "", "mesh-c"}, before: label(nil), change: label("enabled")},
		{kind: "Istio: a namespace's label goes", at: "mesh-c", object: [3]string{"Namespace", "", "mesh-c"}, nameless: true, manager: "kubectl-label", before: label("enabled"), change: label(nil)},
	}
}

func daprScenarios() []scenario {
	scale := func(replicas int64) step {
		return func(ctx context.Context, w *world, manager string, _ int) error {
			if err := w.write(ctx, manager, statefulSets, dapr.Namespace, "dapr-scheduler-server", fields{"spec": fields{"replicas": replicas}}); err != nil {
				return err
			}
			return errors.Join(w.dapr.Stop(), w.dapr.Restart(ctx)) // which looks at its start
		}
	}
	return []scenario{
		{
			kind: "Dapr: the sidecar's image", at: "dapr-a", object: [3]string{"Deployment", dapr.Namespace, "dapr-sidecar-injector"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				image := fmt.Sprintf("daprd:1.14.%d", 1+round)
				err := w.write(ctx, manager, deployments, dapr.Namespace, "dapr-sidecar-injector", fields{"spec": fields{"template": fields{"spec": fields{"containers": []any{
					fields{"name": "injector", "image": "injector:1", "env": []any{fields{"name": "SIDECAR_IMAGE", "value": image}}},
				}}}}})
				if err != nil {
					return err
				}
				return w.dapr.Configure(ctx, daprOptions(image))
			},
		},
		{kind: "Dapr: the scheduler's replicas", at: "dapr-a", object: [3]string{"StatefulSet", dapr.Namespace, "dapr-scheduler-server"}, before: scale(1), change: scale(3)},
		{
			kind: "Dapr: a Component's container", at: "dapr-a", object: [3]string{"Component", "dapr-a", "store"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, components, "dapr-a", "store", fields{
					"metadata": fields{"annotations": fields{"dapr.io/component-container": fmt.Sprintf(`{"name":"store","image":"store:%d"}`, 1+round)}},
					"spec":     fields{"type": "state.store", "version": "v1", "metadata": []any{}}, "scopes": []any{"web"},
				})
			},
		},
	}
}

func ownScenarios() []scenario {
	config := func(data func(round int) fields) step {
		return func(ctx context.Context, w *world, manager string, round int) error {
			return w.write(ctx, manager, configMaps, "own-system", "own-config", fields{"data": data(round)})
		}
	}
	both := func(round int) fields { return fields{"image": fmt.Sprint("agent:", 2+round), "level": "low"} }
	return []scenario{
		{kind: "own: a ConfigMap", at: "own-a", object: [3]string{"ConfigMap", "own-system", "own-config"}, change: config(both)},
		{
			kind: "own: a ConfigMap's key goes", at: "own-a", object: [3]string{"ConfigMap", "own-system", "own-config"}, nameless: true, manager: "kubectl-edit", before: config(both),
			change: func(ctx context.Context, w *world, manager string, _ int) error {
				return w.remove(ctx, manager, configMaps, "own-system", "own-config", `{"data":{"level":null}}`)
			},
		},
		{
			kind: "own: a custom resource", at: "own-a", object: [3]string{"Agent", "own-system", "default"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, agents, "own-system", "default", fields{"spec": fields{"port": fmt.Sprint(8000 + round)}})
			},
		},
		{
			kind: "own: a namespace's annotation", at: "own-a", object: [3]string{"Namespace", "", "own-a"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, namespaces, "", "own-a", fields{"metadata": fields{"annotations": fields{"own.example.com/level": fmt.Sprint("n", round)}}})
			},
		},
		{
			kind: "own: the webhook's selector", at: "own-a", object: [3]string{"MutatingWebhookConfiguration", "", "test-injector-own"},
			after: func(ctx context.Context, w *world, _ string, _ int) error {
				return w.jsonPatch(ctx, "kubectl-edit", configurations, "test-injector-own", `[{"op":"add","path":"/webhooks/0/objectSelector","value":{}}]`)
			},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.jsonPatch(ctx, manager, configurations, "test-injector-own", fmt.Sprintf(`[{"op":"add","path":"/webhooks/0/objectSelector","value":{"matchLabels":{"never":"r%d"}}}]`, round))
			},
		},
		{
			kind: "OpenTelemetry: an Instrumentation", at: "otel-a", object: [3]string{"Instrumentation", "otel-a", "default"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, instrumentation, "otel-a", "default", fields{"spec": fields{"java": fields{"image": fmt.Sprint("java:", 2+round)}}})
			},
		},
		{
			kind: "Kubeflow: a PodDefault", at: "kubeflow-a", object: [3]string{"PodDefault", "kubeflow-a", "default"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, podDefaults, "kubeflow-a", "default", fields{"spec": fields{"env": fmt.Sprint("e", round)}})
			},
		},
		{
			kind: "a Secret", at: "vault-a", unseen: true,
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, secrets, "vault-system", "vault", fields{"stringData": fields{"version": fmt.Sprint(2 + round)}})
			},
		},
		{
			kind: "a ConfigMap beside a Secret", at: "vault-a", object: [3]string{"ConfigMap", "vault-system", "vault-config"},
			change: func(ctx context.Context, w *world, manager string, round int) error {
				return w.write(ctx, manager, configMaps, "vault-system", "vault-config", fields{"data": fields{"address": fmt.Sprint("a", round)}})
			},
		},
	}
}

func clusterScenarios() []scenario {
	limits := func(round int) fields {
		return fields{"spec": fields{"limits": []any{fields{"type": "Container", "defaultRequest": fields{"cpu": fmt.Sprintf("%dm", 50+round)}}}}}
	}
	limited := func(ctx context.Context, w *world, manager string, round int) error {
		return w.write(ctx, manager, limitRanges, "own-b", "defaults", limits(round))
	}
	unlimited := func(ctx context.Context, w *world, _ string, _ int) error {
		return w.delete(ctx, limitRanges, "own-b", "defaults")
	}
	object := [3]string{"LimitRange", "own-b", "defaults"}
	policy := func(ctx context.Context, w *world, manager string, round int) error {
		return w.write(ctx, manager, policies, "", "adds-init", fields{"spec": fields{
			"matchConstraints": fields{"resourceRules": []any{fields{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}}},
			"failurePolicy":    "Ignore", "reinvocationPolicy": "Never",
			"mutations": []any{fields{"patchType": "ApplyConfiguration", "applyConfiguration": fields{
				"expression": fmt.Sprintf(`Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "by-policy", image: "init:%d"}]}}`, round),
			}}},
		}})
	}
	return []scenario{
		{kind: "a LimitRange comes", at: "own-b", object: object, before: unlimited, change: limited},
		{kind: "a LimitRange goes", at: "own-b", object: object, nameless: true, before: limited, change: unlimited},
		{
			kind: "a MutatingAdmissionPolicy", at: "own-b", object: [3]string{"MutatingAdmissionPolicy", "", "adds-init"},
			before: func(ctx context.Context, w *world, _ string, round int) error {
				if round > 0 {
					return nil
				}
				if err := policy(ctx, w, "kubectl", 100); err != nil {
					return err
				}
				return w.write(ctx, "kubectl", bindings, "", "adds-init", fields{"spec": fields{
					"policyName": "adds-init", "matchResources": fields{"namespaceSelector": fields{"matchLabels": fields{"kubernetes.io/metadata.name": "own-b"}}},
				}})
			},
			change: policy,
		},
	}
}
