package matrix

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// withEnv is a Deployment whose app has variables and a volume of its own.
const withEnv = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: IN}
spec:
  selector: {matchLabels: {matrix-row: "ROW"}}
  template:
    metadata: {labels: {matrix-row: "ROW"}}
    spec:
      containers:
      - name: app
        image: app:1
        env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}, {name: MODE, value: fast}]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
`

// injectorRows are injectors of the shapes of well-known ones.
func injectorRows() []row {
	shaped := func(name string, before, then []injector.Operation, changes ...string) row {
		return row{
			group: "injectors", name: name, manifest: withEnv, before: always(before...), then: always(then...),
			state: verdict.Drifted, changes: changes,
		}
	}
	inSync := func(name string, before, then answers) row {
		return row{group: "injectors", name: name, before: before, then: then, state: verdict.InSync}
	}
	down := shaped("one that fails open is down", containers(`{"name":"proxy","image":"proxy:1"}`), nil, "container/proxy")
	down.then, down.state, down.stays = answers{first: injector.Fails}, verdict.Orphaned, true
	back := shaped("one that failed open is back", nil, containers(`{"name":"proxy","image":"proxy:1"}`), "container/proxy")
	back.before, back.state = answers{first: injector.Fails}, verdict.Missing
	return []row{
		shaped("like Linkerd's: another version", linkerd("2.15", false), linkerd("2.16", false),
			"container/linkerd-proxy env[LINKERD2_PROXY_VERSION].value", "container/linkerd-proxy image", "initContainer/linkerd-init image"),
		shaped("like Linkerd's: the debug container", linkerd("2.15", false), linkerd("2.15", true), "container/linkerd-debug"),
		shaped("like Dapr's: another port", likeDapr(3500, false), likeDapr(3600, false),
			"app/app env[DAPR_HTTP_PORT].value", "container/daprd args", "container/daprd ports[3500]", "container/daprd ports[3600]"),
		shaped("like Dapr's: a socket for the app", likeDapr(3500, false), likeDapr(3500, true),
			"app/app env[DAPR_SOCKET]", "app/app volumeMounts[/var/run/dapr]", "container/daprd volumeMounts[/var/run/dapr]", "volumes [dapr-socket]"),
		shaped("like OpenTelemetry's: another agent and endpoint", openTelemetry("1.32", "collector:4317"), openTelemetry("1.33", "gateway:4317"),
			"app/app env[OTEL_EXPORTER_OTLP_ENDPOINT].value", "initContainer/opentelemetry-auto-instrumentation image"),
		shaped("like OpenTelemetry's: injection begins", nil, openTelemetry("1.32", "collector:4317"),
			"app/app env[JAVA_TOOL_OPTIONS].value", "app/app env[OTEL_EXPORTER_OTLP_ENDPOINT]", "app/app volumeMounts[/otel-auto-instrumentation]",
			"initContainer/opentelemetry-auto-instrumentation", "volumes [opentelemetry-auto-instrumentation]").as(verdict.Missing),
		shaped("like OpenTelemetry's: a value of the app's own is changed otherwise", openTelemetry("1.32", "c"), append(openTelemetry("1.32", "c"),
			injector.Operation{Op: "replace", Path: "/spec/containers/0/env/0/value", Value: "-Xmx1g -javaagent:/other.jar"}), "app/app env[JAVA_TOOL_OPTIONS].value"),
		shaped("like Vault's: another image", vault("1.17"), vault("1.18"), "container/vault-agent image", "initContainer/vault-agent-init image"),
		unstable("like Vault's: secrets in another order each time", "container/vault-agent env[VAULT_CONFIG].value", flips("VAULT_CONFIG", "c2VjcmV0OmEsYg==", "c2VjcmV0OmIsYQ==")),
		unstable("a random value", "container/vault-agent env[NONCE].value", counts("NONCE")),
		unstable("a coin is flipped", "container/vault-agent env[SIDE].value", once(agentWith("SIDE", "edge"), flips("SIDE", "heads", "tails"))),
		unstable("a timestamp", "container/vault-agent env[AT].value", func(injector.Request) []injector.Operation {
			return agentWith("AT", time.Now().Format(time.RFC3339Nano))
		}),
		inSync("a timestamp in an annotation", always(), nil).with(answers{first: func(injector.Request) []injector.Operation {
			return append(containers(`{"name":"proxy","image":"proxy:1"}`), add("/metadata/annotations", map[string]string{"at": time.Now().Format(time.RFC3339Nano)}))
		}}),
		shaped("a token of its own, for another audience", tokenFor("mesh"), tokenFor("mesh-2"), "volumes [mesh-token].projected.sources"),
		inSync("a token of its own", always(tokenFor("mesh")...), always(tokenFor("mesh")...)),
		inSync("the app's token is mounted into the sidecar", nil, nil).with(answers{first: copiesTokenMount}),
		down, back,
	}
}

// as is the row with another state.
func (r row) as(state verdict.State) row {
	r.state = state
	return r
}

// with is the row under one admission all the time.
func (r row) with(a answers) row {
	r.before, r.then = a, a
	return r
}

// unstable is a row whose injector gives another answer each time, for which its
// container agent must be called Unstable, and only that.
func unstable(name, place string, answer injector.Answer) row {
	r := row{group: "injectors", name: name, state: verdict.Unstable, changes: []string{place}}
	r.was = &expectation{r.state, r.changes}
	return r.with(answers{first: answer})
}

// agentWith adds a sidecar with one variable.
func agentWith(variable, value string) []injector.Operation {
	return containers(fmt.Sprintf(`{"name":"vault-agent","image":"agent:1","env":[{"name":%q,"value":%q}]}`, variable, value))
}

// counts adds a sidecar whose variable has another value each time.
func counts(variable string) injector.Answer {
	n := 0
	return func(injector.Request) []injector.Operation {
		n++
		return agentWith(variable, fmt.Sprint("nonce-", n))
	}
}

// flips adds a sidecar whose variable has one of two values, in turn: a coin that
// falls on the same side five times would make a test fail now and then.
func flips(variable, heads, tails string) injector.Answer {
	up := false
	return func(injector.Request) []injector.Operation {
		up = !up
		if up {
			return agentWith(variable, heads)
		}
		return agentWith(variable, tails)
	}
}

// once gives the first Pod, which is the live one, what no later one is given: a Pod that
// is as a fresh one by chance is in sync, and whether it is depends on how often was asked.
func once(live []injector.Operation, then injector.Answer) injector.Answer {
	asked := false
	return func(r injector.Request) []injector.Operation {
		if !asked {
			asked = true
			return live
		}
		return then(r)
	}
}

func linkerd(version string, debug bool) []injector.Operation {
	operations := []injector.Operation{
		add("/metadata/annotations", map[string]string{"linkerd.io/proxy-version": version}),
		add("/spec/volumes/-", object(`{"name":"linkerd-identity-end-entity","emptyDir":{"medium":"Memory"}}`)),
		add("/spec/initContainers", []any{object(`{"name":"linkerd-init","image":"proxy-init:` + version + `","args":["--proxy-uid","2102"],
			"securityContext":{"capabilities":{"add":["NET_ADMIN","NET_RAW"]},"runAsUser":65534}}`)}),
		// Linkerd's proxy comes before the app.
		add("/spec/containers/0", object(`{"name":"linkerd-proxy","image":"proxy:`+version+`",
			"env":[{"name":"LINKERD2_PROXY_VERSION","value":"`+version+`"},{"name":"_pod_name","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
			"ports":[{"containerPort":4143,"name":"linkerd-proxy"}],
			"livenessProbe":{"httpGet":{"path":"/live","port":4191}},"lifecycle":{"postStart":{"exec":{"command":["linkerd-await"]}}},
			"volumeMounts":[{"name":"linkerd-identity-end-entity","mountPath":"/var/run/linkerd"}]}`)),
	}
	if debug {
		operations = append(operations, containers(`{"name":"linkerd-debug","image":"debug:1"}`)...)
	}
	return operations
}

func likeDapr(port int, socket bool) []injector.Operation {
	operations := []injector.Operation{
		add("/spec/containers/-", object(fmt.Sprintf(`{"name":"daprd","image":"daprd:1","args":["/daprd","--dapr-http-port","%[1]d"],
			"ports":[{"containerPort":%[1]d,"name":"dapr-http"}],"volumeMounts":[{"name":"dapr-identity-token","mountPath":"/var/run/secrets/dapr.io"}]}`, port))),
		add("/spec/volumes/-", object(`{"name":"dapr-identity-token","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"dapr"}}]}}`)),
		add("/spec/containers/0/env/-", object(fmt.Sprintf(`{"name":"DAPR_HTTP_PORT","value":"%d"}`, port))),
	}
	if socket {
		mount := object(`{"name":"dapr-socket","mountPath":"/var/run/dapr"}`)
		operations = append(operations,
			add("/spec/volumes/-", object(`{"name":"dapr-socket","emptyDir":{}}`)),
			add("/spec/containers/0/volumeMounts/-", mount),
			add("/spec/containers/1/volumeMounts/-", mount),
			add("/spec/containers/0/env/-", object(`{"name":"DAPR_SOCKET","value":"/var/run/dapr"}`)))
	}
	return operations
}

func openTelemetry(version, endpoint string) []injector.Operation {
	return []injector.Operation{
		add("/spec/volumes/-", object(`{"name":"opentelemetry-auto-instrumentation","emptyDir":{"sizeLimit":"200Mi"}}`)),
		add("/spec/initContainers", []any{object(`{"name":"opentelemetry-auto-instrumentation","image":"autoinstrumentation-java:` + version + `",
			"command":["cp","/javaagent.jar","/otel/javaagent.jar"],"volumeMounts":[{"name":"opentelemetry-auto-instrumentation","mountPath":"/otel"}]}`)}),
		{Op: "replace", Path: "/spec/containers/0/env/0/value", Value: "-Xmx1g -javaagent:/otel/javaagent.jar"},
		add("/spec/containers/0/env/-", map[string]string{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint}),
		add("/spec/containers/0/volumeMounts/-", object(`{"name":"opentelemetry-auto-instrumentation","mountPath":"/otel-auto-instrumentation"}`)),
	}
}

func vault(version string) []injector.Operation {
	agent := func(name string) map[string]any {
		return object(`{"name":"` + name + `","image":"vault:` + version + `","command":["/bin/sh","-ec"],"args":["vault agent"],
			"env":[{"name":"VAULT_CONFIG","value":"e30="}],"lifecycle":{"preStop":{"exec":{"command":["sleep","5"]}}},
			"volumeMounts":[{"name":"home-sidecar","mountPath":"/home/vault"},{"name":"vault-secrets","mountPath":"/vault/secrets"}]}`)
	}
	first := agent("vault-agent-init")
	delete(first, "lifecycle")
	return []injector.Operation{
		add("/spec/volumes/-", object(`{"name":"home-sidecar","emptyDir":{"medium":"Memory"}}`)),
		add("/spec/volumes/-", object(`{"name":"vault-secrets","emptyDir":{"medium":"Memory"}}`)),
		add("/spec/initContainers", []any{first}),
		add("/spec/containers/-", agent("vault-agent")),
		add("/spec/containers/0/volumeMounts/-", object(`{"name":"vault-secrets","mountPath":"/vault/secrets"}`)),
	}
}

// tokenFor adds a sidecar with a ServiceAccount token of its own.
func tokenFor(audience string) []injector.Operation {
	return append(
		containers(`{"name":"proxy","image":"proxy:1","volumeMounts":[{"name":"mesh-token","mountPath":"/var/run/secrets/tokens"}]}`),
		add("/spec/volumes/-", object(`{"name":"mesh-token","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"`+audience+`","expirationSeconds":43200}}]}}`)))
}

// copiesTokenMount adds a sidecar with the mounts of the app, as Vault's injector
// does to find the token: their volume's name is another one in each Pod.
func copiesTokenMount(r injector.Request) []injector.Operation {
	mounts, _ := json.Marshal(r.Pod.Spec.Containers[0].VolumeMounts)
	return containers(`{"name":"proxy","image":"proxy:1","volumeMounts":` + string(mounts) + `}`)
}

// severalRows are several injectors at once.
func severalRows() []row {
	proxy := func(image string) []injector.Operation { return containers(`{"name":"proxy","image":"` + image + `"}`) }
	agent := func(image string) []injector.Operation { return containers(`{"name":"agent","image":"` + image + `"}`) }
	several := func(name string, before, then answers, changes ...string) row {
		return row{group: "several injectors", name: name, before: before, then: then, state: verdict.Drifted, changes: changes}
	}
	one, two := same(proxy("proxy:1")...), same(agent("agent:1")...)
	newOne, newTwo := same(proxy("proxy:2")...), same(agent("agent:2")...)
	return []row{
		several("two, the first changes", answers{first: one, second: two}, answers{first: newOne, second: two}, "container/proxy image"),
		several("two, the second changes", answers{first: one, second: two}, answers{first: one, second: newTwo}, "container/agent image"),
		several("two in the other order, the first changes", answers{first: two, second: one}, answers{first: newTwo, second: one}, "container/agent image"),
		several("two in the other order, the second changes", answers{first: two, second: one}, answers{first: two, second: newOne}, "container/proxy image"),
		several("two that change places", answers{first: one, second: two}, answers{first: two, second: one}, "order"),
		several("the second edits what the first injects", answers{first: one, second: everyContainer("env", `[{"name":"REGION","value":"eu"}]`)},
			answers{first: one, second: everyContainer("env", `[{"name":"REGION","value":"us"}]`)}, "app/app env[REGION].value", "container/proxy env[REGION].value"),
		several("three, all change", answers{first: one, second: two, late: same(containers(`{"name":"log","image":"log:1"}`)...)},
			answers{first: newOne, second: newTwo, late: same(containers(`{"name":"log","image":"log:2"}`)...)},
			"container/agent image", "container/log image", "container/proxy image"),
		several("one after the stamper", answers{late: one}, answers{late: newOne}, "container/proxy image"),
		several("one after the stamper begins", answers{first: one}, answers{first: one, late: two}, "container/agent"),
		several("one that mutates again when it is asked again", answers{again: onceMore("1"), late: two}, answers{again: onceMore("2"), late: two},
			"container/proxy env[ROUND].value"),
		{
			group: "several injectors", name: "one that mutates again, and nothing changes", state: verdict.InSync,
			before: answers{again: onceMore("1"), late: two}, then: answers{again: onceMore("1"), late: two},
		},
	}
}

// onceMore adds a sidecar, and a variable to it when it is asked again.
func onceMore(value string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		for i, container := range r.Pod.Spec.Containers {
			if container.Name == "proxy" {
				return []injector.Operation{add(fmt.Sprintf("/spec/containers/%d/env", i), []any{map[string]string{"name": "ROUND", "value": value}})}
			}
		}
		return containers(`{"name":"proxy","image":"proxy:1"}`)
	}
}

// everyContainer sets a field of every container.
func everyContainer(field, value string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		var operations []injector.Operation
		for i := range r.Pod.Spec.Containers {
			operations = append(operations, add(fmt.Sprintf("/spec/containers/%d/%s", i, field), json.RawMessage(value)))
		}
		return operations
	}
}
