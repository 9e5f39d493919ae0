package matrix

import (
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

func sidecarRows() []row {
	return []row{
		inContainer("image and pull policy", `{}`, `{"image":"proxy"}`, "image", "imagePullPolicy"),
		inContainer("args removed", `{"args":["--v=2"]}`, `{}`, "args"),
		inContainer("order of args", `{"args":["a","b"]}`, `{"args":["b","a"]}`, "args"),
		inContainer("a variable added", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}`, "env[B]"),
		inContainer("the first variables", `{}`, `{"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}`, "env[A]", "env[B]"),
		inContainer("a variable of another source", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}`,
			"env[A].value", "env[A].valueFrom.fieldRef.fieldPath"),
		inContainer("the Secret of a variable", `{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}`, `{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"l","optional":true}}}]}`,
			"env[A].valueFrom.secretKeyRef.key", "env[A].valueFrom.secretKeyRef.optional"),
		inContainer("a port added", `{"ports":[{"containerPort":15090}]}`, `{"ports":[{"containerPort":15090},{"containerPort":53,"protocol":"UDP"}]}`, "ports[53/UDP]"),
		inContainer("a memory limit added", `{"resources":{"requests":{"cpu":"100m"}}}`, `{"resources":{"requests":{"cpu":"100m","memory":"1Gi"},"limits":{"memory":"1Gi"}}}`, "resources.limits.memory"),
		inContainer("a limit without a request", `{}`, `{"resources":{"limits":{"cpu":"1"}}}`, "resources.limits.cpu"),
		inContainer("a probe's handler", `{"readinessProbe":{"tcpSocket":{"port":1}}}`, `{"readinessProbe":{"exec":{"command":["true"]}}}`, "readinessProbe.exec.command", "readinessProbe.tcpSocket.port"),
		inContainer("lifecycle sleep", `{}`, `{"lifecycle":{"preStop":{"sleep":{"seconds":5}}}}`, "lifecycle.preStop.sleep.seconds"),
		inContainer("stdin and tty", `{}`, `{"stdin":true,"tty":true}`, "stdin", "tty"),
	}
}

func nativeRows() []row {
	return []row{
		inNative("a CPU limit", `{"resources":{"limits":{"cpu":"1"}}}`, `{"resources":{"limits":{"cpu":"2"}}}`, "resources.limits.cpu", "resources.requests.cpu"),
	}
}

func volumeRows() []row {
	return []row{
		inVolume("a ConfigMap's items", `{"configMap":{"name":"a"}}`, `{"configMap":{"name":"a","items":[{"key":"k","path":"p"}]}}`, "[v].configMap.items"),
		inVolume("another source", `{"emptyDir":{}}`, `{"secret":{"secretName":"a"}}`, "[v].emptyDir", "[v].secret.secretName"),
		{
			group: "a field of a volume", name: "a volume and its mount added", state: verdict.Drifted,
			before: always(add("/spec/containers/-", sidecar)),
			then: always(
				add("/spec/volumes/-", object(`{"name":"v","emptyDir":{}}`)),
				add("/spec/containers/-", merged(sidecar, `{"volumeMounts":[{"name":"v","mountPath":"/v"}]}`)),
			),
			changes: []string{"container/proxy volumeMounts[/v]", "volumes [v]"},
		},
	}
}

func podRows() []row {
	return []row{
		inPod("hostAliases", ``, `[{"ip":"10.0.0.1","hostnames":["a"]}]`, "hostAliases[10.0.0.1]"),
		inPod("tolerations", ``, `[{"key":"k","operator":"Exists"}]`, "tolerations"),
		inPod("nodeSelector", ``, `{"kubernetes.io/os":"linux"}`, "nodeSelector.kubernetes.io/os"),
		inPod("imagePullSecrets", `[{"name":"a"}]`, `[{"name":"b"}]`, "imagePullSecrets[a]", "imagePullSecrets[b]"),
		inPod("hostname", ``, `"mesh"`, "hostname"),
		inPod("subdomain", ``, `"mesh"`, "subdomain"),
		inPod("enableServiceLinks", ``, `false`, "enableServiceLinks"),
		inPod("readinessGates", ``, `[{"conditionType":"mesh.test/ready"}]`, "readinessGates"),
	}
}

func appRows() []row {
	return []row{
		inApp("env", ``, `[{"name":"MESH","value":"on"}]`, "env[MESH]"),
		inApp("env", `[{"name":"MESH","value":"on"}]`, `[{"name":"MESH","value":"off"}]`, "env[MESH].value"),
		inApp("image", ``, `"mirror.test/app:1"`, "image").mutated(),
		inApp("livenessProbe", `{"httpGet":{"path":"/a","port":1}}`, `{"httpGet":{"path":"/app-health/a","port":15020}}`, "livenessProbe.httpGet.path", "livenessProbe.httpGet.port"),
		inApp("securityContext", ``, `{"allowPrivilegeEscalation":false}`, "securityContext.allowPrivilegeEscalation"),
	}
}

// mutated is the row, of which nothing differs that is a sidecar's.
func (r row) mutated() row {
	r.state, r.was = verdict.Mutated, &expectation{state: verdict.InSync}
	return r
}

func containerRows() []row {
	const proxy, agent = `{"name":"proxy","image":"proxy:1"}`, `{"name":"agent","image":"agent:1"}`
	first := func(container string) []injector.Operation {
		return []injector.Operation{add("/spec/containers/0", object(container))}
	}
	goes := whole("one of two goes", verdict.Drifted, containers(proxy, agent), containers(agent), "container/proxy")
	goes.orphaned = true
	return []row{
		whole("injection begins", verdict.Missing, nil, containers(proxy), "container/proxy"),
		whole("injection ends", verdict.Orphaned, containers(proxy), nil, "container/proxy"),
		whole("a second sidecar comes", verdict.Drifted, containers(proxy), containers(proxy, agent), "container/agent"),
		goes,
		whole("a sidecar becomes a native one", verdict.Drifted, containers(proxy),
			[]injector.Operation{add("/spec/initContainers", []any{merged(sidecar, `{"restartPolicy":"Always"}`)})},
			"container/proxy", "initContainer/proxy"),
		whole("the sidecar is to start before the app", verdict.Drifted, containers(proxy), first(proxy), "order"),
		whole("two sidecars change places", verdict.Drifted, containers(proxy, agent), containers(agent, proxy), "order"),
	}
}

func harmlessRows() []row {
	env := func(list string) []injector.Operation {
		return containers(`{"name":"proxy","image":"proxy:1","env":` + list + `}`)
	}
	cpu := func(quantity string) []injector.Operation {
		return containers(`{"name":"proxy","image":"proxy:1","resources":{"requests":{"cpu":"` + quantity + `"}}}`)
	}
	with := func(operation injector.Operation) []injector.Operation {
		return append(containers(`{"name":"proxy","image":"proxy:1"}`), operation)
	}
	plain := containers(`{"name":"proxy","image":"proxy:1"}`)
	return []row{
		harmless("nothing changes", plain, plain),
		harmless("another order of variables", env(`[{"name":"A","value":"1"},{"name":"B","value":"2"}]`), env(`[{"name":"B","value":"2"},{"name":"A","value":"1"}]`)),
		harmless("an equal quantity", cpu("100m"), cpu("0.1")),
		harmless("a default spelled out", plain, containers(`{"name":"proxy","image":"proxy:1","imagePullPolicy":"IfNotPresent","terminationMessagePolicy":"File"}`)),
		harmless("a label", plain, with(add("/metadata/labels/mesh", "on"))),
		harmless("an annotation", plain, with(add("/metadata/annotations", map[string]string{"mesh": "on"}))),
		harmless("default tolerations, of other seconds", plain, with(add("/spec/tolerations", []any{
			object(`{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":30}`),
		}))),
		harmless("a node selector goes, which a namespace may have had", with(add("/spec/nodeSelector", map[string]string{"kubernetes.io/os": "linux"})), plain),
	}
}
