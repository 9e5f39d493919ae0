package matrix

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

const habits = "habits of real injectors"

// alikeDapr is the injector that has the name of Dapr's webhook, and the namespace that
// it alone is called in.
const alikeDapr = "matrix-like-dapr"

// Namespaces that have Linkerd's annotation all the time, get it, and lose it.
const (
	switchedOn   = "matrix-switched-on"
	switchBegins = "matrix-switch-begins"
	switchEnds   = "matrix-switch-ends"
)

// habitRows are what real injectors look at, and how they answer, whatever they inject.
func habitRows() []row {
	return slices.Concat(switchRows(), callerRows(), variableRows(), answerRows(), setRows(), varyingRows())
}

// habit is a row of this group that drifts, or is in sync if nothing changes.
func habit(name string, before, then injector.Answer, changes ...string) row {
	r := row{group: habits, name: name, before: answers{first: before}, then: answers{first: then}, state: verdict.InSync, changes: changes}
	if len(changes) > 0 {
		r.state = verdict.Drifted
	}
	return r
}

// notInjected is the row with no sidecar all the time.
func (r row) notInjected() row {
	r.state = verdict.NotInjected
	r.was = &expectation{state: r.state}
	return r
}

// switchRows are namespaces whose annotation is the switch, as for Linkerd, which no
// selector shows.
func switchRows() []row {
	const annotation = "linkerd.io/inject"
	switched := func(image string) injector.Answer {
		return injector.WhereAnnotated(annotation, "enabled", addsProxy(image))
	}
	in := func(namespace, name string, then injector.Answer, changes ...string) row {
		r := habit("like Linkerd's: a namespace's annotation is the switch, "+name, switched("proxy:1"), then, changes...)
		r.in = namespace
		return r
	}
	annotate := func(value string) step {
		return func(ctx context.Context, w *workload) error {
			return w.kubectl(ctx, "annotate", "namespace", w.namespace(), "--overwrite", annotation+value)
		}
	}
	on := func(r row) row {
		r.made = func(ctx context.Context, w *workload) error {
			if err := annotate("=enabled")(ctx, w); err != nil {
				return err
			}
			return w.restart(ctx)
		}
		return r
	}
	begins := in(switchBegins, "which comes", switched("proxy:1"), "container/proxy").as(verdict.Missing)
	begins.change = annotate("=enabled")
	ends := on(in(switchEnds, "which goes", switched("proxy:1"), "container/proxy").as(verdict.Orphaned))
	ends.change, ends.orphaned = annotate("-"), true
	off := on(in(switchedOn, "the Pod's own says no", switched("proxy:2"))).notInjected()
	off.manifest = strings.Replace(deployment, "template: {metadata: {", `template: {metadata: {annotations: {`+annotation+`: disabled}, `, 1)
	return []row{
		on(in(switchedOn, "and nothing changes", switched("proxy:1"))),
		on(in(switchedOn, "another image", switched("proxy:2"), "container/proxy image")),
		begins, ends, off,
	}
}

// callerRows are injectors that look at who creates a Pod. Dapr's is known by its name:
// who asks as another one than the controller is in doubt. Admins are nobody here.
func callerRows() []row {
	daprd := func(image string) injector.Answer {
		return injector.ForControllers(func(injector.Request) []injector.Operation {
			return containers(fmt.Sprintf(`{"name":"daprd","image":%q}`, image))
		})
	}
	orphaned := expectation{verdict.Orphaned, []string{"container/daprd"}}
	dapr := func(name, manifest string, pods int, then string) row {
		r := row{
			group: habits, name: "like Dapr's: for controllers alone, " + name, in: alikeDapr, manifest: manifest, pods: pods,
			before: answers{alikeDapr: daprd("daprd:1")}, then: answers{alikeDapr: daprd(then)},
			state: orphaned.state, changes: orphaned.changes, was: &orphaned, approximate: true, stays: true,
		}
		inSync, drifted := expectation{state: verdict.InSync}, expectation{verdict.Drifted, []string{"container/daprd image"}}
		r.asked = &asked{inSync, inSync, inSync}
		if then != "daprd:1" {
			r.asked = &asked{inSync, drifted, drifted}
		}
		return r
	}
	const selector = "  selector: {matchLabels: {matrix-row: \"ROW\"}}\n"
	stateful := workloadOf("apps/v1", "StatefulSet", "  replicas: 2\n  serviceName: NAME\n"+selector+"  template: "+template)
	daemon := workloadOf("apps/v1", "DaemonSet", selector+"  template: "+template)
	job := dapr("a Job", workloadOf("batch/v1", "Job", "  template: "+waiting), 1, "daprd:2")
	job.pending = true
	bare := dapr("a bare Pod, which an admin created", "\napiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: IN, labels: {matrix-row: \"ROW\"}}\nspec: {containers: [{name: app, image: \"app:1\"}]}\n", 1, "daprd:1")
	bare.asked = nil // no controller is known

	others := func(image string) injector.Answer { return injector.ByWhom(injector.Nothing, addsProxy(image)) }
	constrained := func(user int) injector.Answer {
		return injector.ByWhom(addsProxy("proxy:1"), injector.Each(addsProxy("proxy:1"), same(
			add("/spec/securityContext", object(fmt.Sprintf(`{"fsGroup":%d,"seLinuxOptions":{"level":"s0:c26,c5"}}`, user))),
			add("/spec/containers/0/securityContext", object(fmt.Sprintf(`{"runAsUser":%d}`, user))),
		)))
	}
	return []row{
		dapr("and nothing changes", "", 0, "daprd:1"), dapr("another image", "", 0, "daprd:2"),
		dapr("a StatefulSet", stateful, 2, "daprd:2"), dapr("a DaemonSet", daemon, 2, "daprd:2"), job, bare,
		habit("like Kyverno's: for all but admins, and nothing changes", others("proxy:1"), others("proxy:1")),
		habit("like Kyverno's: for all but admins, another image", others("proxy:1"), others("proxy:2"), "container/proxy image"),
		habit("like OpenShift's: another security context for admins, and nothing changes", constrained(1000), constrained(1000)),
		habit("like OpenShift's: another security context for admins, another user", constrained(1000), constrained(2000),
			"app/app securityContext.runAsUser", "pod securityContext.fsGroup"),
	}
}

// variableRows are injectors that give an app variables, alone and beside a sidecar.
func variableRows() []row {
	sdk := func(endpoint string) injector.Answer {
		return injector.Variables(corev1.EnvVar{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: endpoint}, corev1.EnvVar{Name: "OTEL_TRACES_SAMPLER", Value: "always_on"})
	}
	identity := injector.Each(injector.Variables(corev1.EnvVar{Name: "AZURE_CLIENT_ID", Value: "0000"}), same(
		add("/spec/volumes/-", object(`{"name":"azure-identity-token","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"api://AzureADTokenExchange"}}]}}`)),
		add("/spec/containers/0/volumeMounts/-", object(`{"name":"azure-identity-token","mountPath":"/var/run/secrets/azure/tokens","readOnly":true}`)),
	))
	ofOwner := func(version string) injector.Answer { return injector.OfOwner("OTEL_RESOURCE_ATTRIBUTES", version) }
	const endpoint = "app/app env[OTEL_EXPORTER_OTLP_ENDPOINT]"
	beside := func(r row) row {
		r.name += ", beside a sidecar"
		proxy := addsProxy("proxy:1")
		r.before, r.then = answers{first: r.before[first], second: proxy}, answers{first: r.then[first], second: proxy}
		return r
	}
	down := beside(habit("like OpenTelemetry's: variables alone, it is down", sdk("collector:4317"), injector.Fails, endpoint, "app/app env[OTEL_TRACES_SAMPLER]"))
	down.stays = true
	alone := habit("like OpenTelemetry's: variables alone, and it goes", sdk("collector:4317"), injector.Nothing, endpoint, "app/app env[OTEL_TRACES_SAMPLER]").adds(verdict.Orphaned)
	alone.orphaned = true
	return []row{
		habit("like OpenTelemetry's: variables alone, and nothing changes", sdk("collector:4317"), sdk("collector:4317")),
		habit("like OpenTelemetry's: variables alone, another value", sdk("collector:4317"), sdk("gateway:4317"), endpoint+".value").adds(verdict.Drifted),
		alone,
		beside(habit("like OpenTelemetry's: variables alone, and nothing changes", sdk("collector:4317"), sdk("collector:4317"))),
		beside(habit("like OpenTelemetry's: variables alone, another value", sdk("collector:4317"), sdk("gateway:4317"), endpoint+".value")),
		down,
		beside(habit("like OpenTelemetry's: the owner's name, and nothing changes", ofOwner("1"), ofOwner("1"))),
		beside(habit("like OpenTelemetry's: the owner's name, another version", ofOwner("1"), ofOwner("2"), "app/app env[OTEL_RESOURCE_ATTRIBUTES].value")),
		habit("like Azure's workload identity: variables and a token, which come", injector.Nothing, identity,
			"app/app env[AZURE_CLIENT_ID]", "app/app volumeMounts[/var/run/secrets/azure/tokens]", "volumes [azure-identity-token]").adds(verdict.Missing),
		habit("like Azure's workload identity: variables and a token, and nothing changes", identity, identity),
		beside(habit("like Azure's workload identity: variables and a token, and nothing changes", identity, identity)),
	}
}

// answerRows are answers of another kind than a sidecar each time: another one each
// time, and none.
func answerRows() []row {
	orders := injector.Orders("db", "api", "tls", "queue", "mail", "cache")
	ordered := func(injector.Request) []injector.Operation {
		return agentWith("VAULT_CONFIG", strings.Join(orders(), " "))
	}
	directories := 0
	random := func(injector.Request) []injector.Operation {
		directories++
		return append(
			containers(fmt.Sprintf(`{"name":"jfs-mount","image":"mount:1","command":["mount","/jfs/%d"],"volumeMounts":[{"name":"jfs-dir","mountPath":"/jfs"}]}`, directories)),
			add("/spec/volumes/-", object(fmt.Sprintf(`{"name":"jfs-dir","hostPath":{"path":"/var/lib/jfs/%d","type":""}}`, directories))))
	}
	each := func(name string, answer injector.Answer, places ...string) row {
		r := unstable(name, "", answer)
		r.group, r.changes = habits, places
		r.was = &expectation{r.state, places}
		return r
	}
	refuses := habit("one that begins to refuse", addsProxy("proxy:1"), injector.Refuses("no volume is ready"))
	refuses.state, refuses.stays = verdict.Blocked, true
	// The template names the sidecar's image, in a container that the webhook replaces.
	replaces := func(cpu string) injector.Answer {
		return same(injector.Operation{Op: "remove", Path: "/spec/containers/1"}, add("/spec/initContainers", []any{
			object(`{"name":"gcsfuse","image":"private:1","restartPolicy":"Always","resources":{"requests":{"cpu":"` + cpu + `"}}}`),
		}))
	}
	private := func(r row) row {
		r.manifest = strings.Replace(deployment, `image: "app:1"}`, `image: "app:1"}, {name: gcsfuse, image: "private:1"}`, 1)
		return r
	}
	return []row{
		private(habit("like gcsfuse's: a container of the template becomes a native sidecar, and nothing changes", replaces("1"), replaces("1"))),
		private(habit("like gcsfuse's: a container of the template becomes a native sidecar, another request", replaces("1"), replaces("2"), "initContainer/gcsfuse resources.requests.cpu")),
		each("like Vault's: six secrets in the order of a map", ordered, "container/vault-agent env[VAULT_CONFIG].value"),
		each("like JuiceFS': another directory each time", random, "container/jfs-mount command", "volumes [jfs-dir].hostPath.path"),
		refuses,
	}
}
