package matrix

import (
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/injector"
)

// probe is a field of many rows.
const probe = `"livenessProbe":{"httpGet":{"path":"/healthz","port":80}`

func rows() []row {
	return slices.Concat(sidecarRows(), nativeRows(), volumeRows(), podRows(), appRows(), containerRows(), harmlessRows(), mutatorRows())
}

func sidecarRows() []row {
	return []row{
		inContainer("image", `{}`, `{"image":"proxy:2"}`, "image"),
		inContainer("image and pull policy", `{}`, `{"image":"proxy"}`, "image", "imagePullPolicy"),
		inContainer("imagePullPolicy", `{}`, `{"imagePullPolicy":"Always"}`, "imagePullPolicy"),
		inContainer("command", `{"command":["run"]}`, `{"command":["run","fast"]}`, "command"),
		inContainer("args added", `{}`, `{"args":["--v=2"]}`, "args"),
		inContainer("args removed", `{"args":["--v=2"]}`, `{}`, "args"),
		inContainer("order of args", `{"args":["a","b"]}`, `{"args":["b","a"]}`, "args"),
		inContainer("workingDir", `{}`, `{"workingDir":"/srv"}`, "workingDir"),
		inContainer("value of a variable", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","value":"2"}]}`, "env[A].value"),
		inContainer("a variable added", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}`, "env[B]"),
		inContainer("the first variables", `{}`, `{"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}`, "env[A]", "env[B]"),
		inContainer("a variable of another source", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}`,
			"env[A].value", "env[A].valueFrom.fieldRef.fieldPath"),
		inContainer("the field of a variable", `{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}`, `{"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.namespace"}}}]}`,
			"env[A].valueFrom.fieldRef.fieldPath"),
		inContainer("the Secret of a variable", `{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}`, `{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"l","optional":true}}}]}`,
			"env[A].valueFrom.secretKeyRef.key", "env[A].valueFrom.secretKeyRef.optional"),
		inContainer("the ConfigMap of a variable", `{"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}}]}`, `{"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"d","key":"k"}}}]}`,
			"env[A].valueFrom.configMapKeyRef.name"),
		inContainer("the resource of a variable", `{"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}]}`, `{"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}]}`,
			"env[A].valueFrom.resourceFieldRef.divisor"),
		inContainer("envFrom", `{"envFrom":[{"configMapRef":{"name":"c"}}]}`, `{"envFrom":[{"configMapRef":{"name":"d"}}]}`, "envFrom"),
		inContainer("a port's name", `{"ports":[{"containerPort":15090,"name":"metrics"}]}`, `{"ports":[{"containerPort":15090,"name":"prom"}]}`, "ports[15090].name"),
		inContainer("a port added", `{"ports":[{"containerPort":15090}]}`, `{"ports":[{"containerPort":15090},{"containerPort":53,"protocol":"UDP"}]}`, "ports[53/UDP]"),
		inContainer("a CPU request", `{"resources":{"requests":{"cpu":"100m"}}}`, `{"resources":{"requests":{"cpu":"150m"}}}`, "resources.requests.cpu"),
		inContainer("a memory limit added", `{"resources":{"requests":{"cpu":"100m"}}}`, `{"resources":{"requests":{"cpu":"100m","memory":"1Gi"},"limits":{"memory":"1Gi"}}}`, "resources.limits.memory"),
		inContainer("a limit without a request", `{}`, `{"resources":{"limits":{"cpu":"1"}}}`, "resources.limits.cpu"),
		inContainer("an HTTP probe's path", `{`+probe+`}}`, `{"livenessProbe":{"httpGet":{"path":"/live","port":80}}}`, "livenessProbe.httpGet.path"),
		inContainer("a probe's period", `{`+probe+`}}`, `{`+probe+`,"periodSeconds":3}}`, "livenessProbe.periodSeconds"),
		inContainer("a probe's handler", `{"readinessProbe":{"tcpSocket":{"port":1}}}`, `{"readinessProbe":{"exec":{"command":["true"]}}}`, "readinessProbe.exec.command", "readinessProbe.tcpSocket.port"),
		inContainer("a gRPC probe's service", `{"startupProbe":{"grpc":{"port":1}}}`, `{"startupProbe":{"grpc":{"port":1,"service":"x"}}}`, "startupProbe.grpc.service"),
		inContainer("a probe's header", `{"readinessProbe":{"httpGet":{"port":1,"httpHeaders":[{"name":"A","value":"1"}]}}}`, `{"readinessProbe":{"httpGet":{"port":1,"httpHeaders":[{"name":"A","value":"2"}]}}}`, "readinessProbe.httpGet.httpHeaders"),
		inContainer("lifecycle preStop", `{"lifecycle":{"preStop":{"exec":{"command":["a"]}}}}`, `{"lifecycle":{"preStop":{"exec":{"command":["b"]}}}}`, "lifecycle.preStop.exec.command"),
		inContainer("lifecycle sleep", `{}`, `{"lifecycle":{"preStop":{"sleep":{"seconds":5}}}}`, "lifecycle.preStop.sleep.seconds"),
		inContainer("runAsUser", `{"securityContext":{"runAsUser":1}}`, `{"securityContext":{"runAsUser":2}}`, "securityContext.runAsUser"),
		inContainer("capabilities", `{"securityContext":{"capabilities":{"drop":["ALL"]}}}`, `{"securityContext":{"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]}}}`, "securityContext.capabilities.add"),
		inContainer("privileged", `{}`, `{"securityContext":{"privileged":true}}`, "securityContext.privileged"),
		inContainer("seccompProfile", `{}`, `{"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}}}`, "securityContext.seccompProfile.type"),
		inContainer("terminationMessagePolicy", `{}`, `{"terminationMessagePolicy":"FallbackToLogsOnError"}`, "terminationMessagePolicy"),
		inContainer("terminationMessagePath", `{}`, `{"terminationMessagePath":"/log"}`, "terminationMessagePath"),
		inContainer("stdin and tty", `{}`, `{"stdin":true,"tty":true}`, "stdin", "tty"),
		inContainer("resizePolicy", `{"resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"}]}`, `{"resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]}`, "resizePolicy"),
	}
}

func nativeRows() []row {
	return []row{
		inNative("image", `{}`, `{"image":"proxy:2"}`, "image"),
		inNative("a variable", `{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","value":"2"}]}`, "env[A].value"),
		inNative("startupProbe", `{"startupProbe":{"tcpSocket":{"port":1}}}`, `{"startupProbe":{"tcpSocket":{"port":2}}}`, "startupProbe.tcpSocket.port"),
		inNative("a CPU limit", `{"resources":{"limits":{"cpu":"1"}}}`, `{"resources":{"limits":{"cpu":"2"}}}`, "resources.limits.cpu", "resources.requests.cpu"),
	}
}

func volumeRows() []row {
	return []row{
		inVolume("emptyDir medium", `{"emptyDir":{}}`, `{"emptyDir":{"medium":"Memory"}}`, "[v].emptyDir.medium"),
		inVolume("emptyDir size", `{"emptyDir":{"sizeLimit":"1Gi"}}`, `{"emptyDir":{"sizeLimit":"2Gi"}}`, "[v].emptyDir.sizeLimit"),
		inVolume("a Secret's name", `{"secret":{"secretName":"a"}}`, `{"secret":{"secretName":"b"}}`, "[v].secret.secretName"),
		inVolume("a Secret's mode", `{"secret":{"secretName":"a"}}`, `{"secret":{"secretName":"a","defaultMode":256}}`, "[v].secret.defaultMode"),
		inVolume("a ConfigMap's items", `{"configMap":{"name":"a"}}`, `{"configMap":{"name":"a","items":[{"key":"k","path":"p"}]}}`, "[v].configMap.items"),
		inVolume("a projected token's audience", `{"projected":{"sources":[{"serviceAccountToken":{"path":"t","audience":"a"}}]}}`, `{"projected":{"sources":[{"serviceAccountToken":{"path":"t","audience":"b"}}]}}`, "[v].projected.sources"),
		inVolume("hostPath", `{"hostPath":{"path":"/a"}}`, `{"hostPath":{"path":"/b"}}`, "[v].hostPath.path"),
		inVolume("hostPath type", `{"hostPath":{"path":"/a"}}`, `{"hostPath":{"path":"/a","type":"Directory"}}`, "[v].hostPath.type"),
		inVolume("a CSI attribute", `{"csi":{"driver":"d","volumeAttributes":{"a":"1"}}}`, `{"csi":{"driver":"d","volumeAttributes":{"a":"2"}}}`, "[v].csi.volumeAttributes.a"),
		inVolume("downwardAPI", `{"downwardAPI":{"items":[{"path":"l","fieldRef":{"fieldPath":"metadata.labels"}}]}}`, `{"downwardAPI":{"items":[{"path":"m","fieldRef":{"fieldPath":"metadata.labels"}}]}}`, "[v].downwardAPI.items"),
		inVolume("another source", `{"emptyDir":{}}`, `{"secret":{"secretName":"a"}}`, "[v].emptyDir", "[v].secret.secretName"),
		{
			group: "a field of a volume", name: "a volume and its mount added", state: verdict.Drifted,
			before: []injector.Operation{add("/spec/containers/-", sidecar)},
			then: []injector.Operation{
				add("/spec/volumes/-", object(`{"name":"v","emptyDir":{}}`)),
				add("/spec/containers/-", merged(sidecar, `{"volumeMounts":[{"name":"v","mountPath":"/v"}]}`)),
			},
			changes: []string{"container/proxy volumeMounts[/v]", "volumes [v]"},
		},
		{
			group: "a field of a volume", name: "a mount made read-only", state: verdict.Drifted,
			before: []injector.Operation{
				add("/spec/volumes/-", object(`{"name":"v","emptyDir":{}}`)),
				add("/spec/containers/-", merged(sidecar, `{"volumeMounts":[{"name":"v","mountPath":"/v"}]}`)),
			},
			then: []injector.Operation{
				add("/spec/volumes/-", object(`{"name":"v","emptyDir":{}}`)),
				add("/spec/containers/-", merged(sidecar, `{"volumeMounts":[{"name":"v","mountPath":"/v","readOnly":true}]}`)),
			},
			changes: []string{"container/proxy volumeMounts[/v].readOnly"},
		},
	}
}

func podRows() []row {
	return []row{
		inPod("securityContext", `{"fsGroup":1}`, `{"fsGroup":2}`, "securityContext.fsGroup"),
		inPod("shareProcessNamespace", ``, `true`, "shareProcessNamespace"),
		inPod("terminationGracePeriodSeconds", ``, `60`, "terminationGracePeriodSeconds"),
		inPod("hostAliases", ``, `[{"ip":"10.0.0.1","hostnames":["a"]}]`, "hostAliases[10.0.0.1]"),
		inPod("dnsConfig", `{"nameservers":["10.0.0.1"]}`, `{"nameservers":["10.0.0.2"]}`, "dnsConfig.nameservers"),
		inPod("readinessGates", ``, `[{"conditionType":"mesh.test/ready"}]`, "readinessGates"),
		inPod("automountServiceAccountToken", ``, `false`, "automountServiceAccountToken"),
	}
}

func appRows() []row {
	return []row{
		inApp("env", ``, `[{"name":"MESH","value":"on"}]`, "env[MESH]"),
		inApp("env", `[{"name":"MESH","value":"on"}]`, `[{"name":"MESH","value":"off"}]`, "env[MESH].value"),
		inApp("image", ``, `"mirror.test/app:1"`, "image"),
		inApp("livenessProbe", `{"httpGet":{"path":"/a","port":1}}`, `{"httpGet":{"path":"/app-health/a","port":15020}}`, "livenessProbe.httpGet.path", "livenessProbe.httpGet.port"),
		inApp("securityContext", ``, `{"allowPrivilegeEscalation":false}`, "securityContext.allowPrivilegeEscalation"),
	}
}

func containerRows() []row {
	const proxy, agent = `{"name":"proxy","image":"proxy:1"}`, `{"name":"agent","image":"agent:1"}`
	first := func(container string) []injector.Operation {
		return []injector.Operation{add("/spec/containers/0", object(container))}
	}
	return []row{
		whole("injection begins", verdict.Missing, nil, containers(proxy), "container/proxy"),
		whole("injection ends", verdict.Orphaned, containers(proxy), nil, "container/proxy"),
		whole("a second sidecar comes", verdict.Drifted, containers(proxy), containers(proxy, agent), "container/agent"),
		whole("one of two goes", verdict.Drifted, containers(proxy, agent), containers(agent), "container/proxy"),
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
		harmless("tolerations", plain, with(add("/spec/tolerations", []any{object(`{"key":"k","operator":"Exists"}`)}))),
		harmless("a node selector", with(add("/spec/nodeSelector", map[string]string{"kubernetes.io/os": "linux"})), plain),
	}
}

func mutatorRows() []row {
	mutated := func(name, field, before, then string, paths ...string) row {
		r := inApp(field, before, then, paths...)
		r.group, r.name, r.state = "mutators that are no sidecars", name, verdict.Mutated
		r.before, r.then = r.before[1:], r.then[1:]
		return r
	}
	return []row{
		mutated("an image mirror", "image", ``, `"mirror.test/app:1"`, "image"),
		mutated("an env adder", "env", ``, `[{"name":"REGION","value":"eu"}]`, "env[REGION]"),
		mutated("always pull", "imagePullPolicy", ``, `"Always"`, "imagePullPolicy"),
		mutated("a resource rewriter", "resources", `{"requests":{"cpu":"1"}}`, `{"requests":{"cpu":"2"}}`, "resources.requests.cpu"),
	}
}
