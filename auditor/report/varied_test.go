package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// of is a value as a change has it; nil is none.
func of(value any) json.RawMessage {
	if value == nil {
		return nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only for values that this file cannot have meant
	}
	return bytes.TrimSpace(text.Bytes())
}

func differs(part, path string, from, to any) verdict.Change {
	return verdict.Change{Part: part, Path: path, From: of(from), To: of(to)}
}

// releases are what injectors changed: of Istio, Dapr, Vault, a log shipper, in all kinds of
// places, with a secret, texts of several lines, wide characters and what would command a
// terminal.
func releases() [][]verdict.Change {
	const proxy, daprd, vault, logs = "container/istio-proxy", "container/daprd", "container/vault-agent", "container/ログ転送"
	return [][]verdict.Change{
		{differs(proxy, "image", "docker.io/istio/proxyv2:1.28.0", "docker.io/istio/proxyv2:1.29.0"), differs("initContainer/istio-init", "image", "docker.io/istio/proxyv2:1.28.0", "docker.io/istio/proxyv2:1.29.0")},
		{differs(proxy, "resources.requests.cpu", "150m", "200m"), differs(proxy, "resources.limits.memory", "1Gi", "1536Mi")},
		{differs(proxy, "env[PROXY_CONFIG].value", `{"concurrency":2}`, `{"concurrency":4,"tracing":{"sampling":1}}`)},
		{differs(daprd, "image", "ghcr.io/dapr/daprd:1.16.1", "ghcr.io/dapr/daprd@sha256:"+strings.Repeat("0123456789abcdef", 4)), differs(daprd, "args", []string{"--log-level", "info"}, []string{"--log-level", "warn", "--enable-metrics"})},
		{differs(daprd, "livenessProbe", map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": 3501}}, nil), differs(daprd, "ports[metrics]", nil, map[string]any{"containerPort": 9090, "name": "metrics"})},
		{differs(vault, "env[VAULT_TOKEN].value", "hvs.CAESIJ0123456789abcdefghijklmnop", "hvs.CAESIK9876543210abcdefghijklmnop")},
		{differs(vault, "env[VAULT_CONFIG].value", "exit_after_auth = false\npid_file = \"/home/vault/pid\"\n", "exit_after_auth = true\npid_file = \"/home/vault/pid\"\n")},
		{differs(logs, "image", "レジストリ.例え.jp/転送:一", "レジストリ.例え.jp/転送:二"), differs(logs, "env[題名].value", "日本語の長い値", "もう一つの値")},
		{differs("volumes", "[istio-token]", map[string]any{"projected": map[string]any{"defaultMode": 420}}, map[string]any{"projected": map[string]any{"defaultMode": 256}}), differs(proxy, "volumeMounts[/etc/istio/pod]", nil, map[string]any{"name": "podinfo", "mountPath": "/etc/istio/pod"})},
		{differs(proxy, "securityContext.capabilities.add", nil, []string{"NET_ADMIN"}), differs("pod", "dnsPolicy", "ClusterFirst", "None\x1b[2J\u202e")},
	}
}

// nameOf is a name: they are of all lengths that Kubernetes allows, and of any script.
func nameOf(random *rand.Rand, i int) string {
	name := []string{"web", "cart", "orders-db", "ledger", "fraud-agent", "recommendation-service-v2", "a"}[random.IntN(7)]
	switch {
	case i%97 == 13:
		return strings.Repeat(name+"-", 200)[:200] + "z"
	case i%53 == 7:
		return "サービス-" + name
	}
	return fmt.Sprintf("%s-%d", name, i)
}

// varied is a report of five hundred workloads of all states and kinds, in many namespaces, that differ in
// shared changes, several at a time, and in some of their own; always the same one.
func varied() *report.Report {
	const n = 500
	random := rand.New(rand.NewPCG(19, 500))
	states, kinds, all := verdict.States(), []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Rollout", "Pod"}, releases()
	items := make([]report.Item, n)
	for i := range items {
		state := states[random.IntN(len(states))]
		if random.IntN(2) == 0 {
			state = []verdict.State{verdict.Drifted, verdict.InSync}[random.IntN(2)]
		}
		kind, pods := kinds[random.IntN(len(kinds))], 1+random.IntN(9)
		item := report.Item{
			Namespace: []string{"shop", "payments", "batch", "kube-system", "team-with-a-rather-long-name-in-the-middle-of-nowhere", "名前空間"}[random.IntN(6)],
			Kind:      kind, Name: nameOf(random, i), State: state, Pods: map[verdict.State]int{state: pods},
			Labels: map[string]string{"example.com/team": []string{"storefront", "", "チーム", "data"}[random.IntN(4)]},
		}
		if i%5 > 0 {
			started := clock.Add(-time.Duration(random.IntN(90*24)) * time.Hour)
			item.OldestPod = &started
		}
		item.Revisions = []report.Revision{revision(random, item.Name+"-69c6f74b8b", state, pods, all, i)}
		if random.IntN(6) == 0 { // a rollout of its own is under way
			item.Pods[verdict.InSync] += 2
			item.Revisions = append(item.Revisions, revision(random, item.Name+"-5d4f8c7b6a", verdict.InSync, 2, all, i))
		}
		if state.Drift() && kind != "Job" && kind != "Pod" {
			item.Rollout = report.Rollout{Eligible: true, Strategy: []string{"restart", "evict", "resize"}[random.IntN(3)]}
		} else if state.Drift() {
			item.Rollout = report.Rollout{Reason: "nobody re-creates its Pods"}
		}
		items[i] = item
	}
	r := report.New(report.DriftReport, clock, items, 17)
	r.DryRunAs = "controller"
	r.Cluster = &report.ClusterIdentity{Name: "prod-eu", Server: "https://api.eu.example.com:6443"}
	r.Notes = []string{"Autoscalers could not be read: forbidden; annotations tell."}
	r.IgnoredPaths = []string{"container/agent:env[NONCE]"}
	r.Outages = []report.Outage{{Webhook: "dapr-sidecar-injector/sidecar-injector.dapr.io", Reason: "connection refused"}}
	return r
}

func revision(random *rand.Rand, name string, state verdict.State, pods int, all [][]verdict.Change, i int) report.Revision {
	found := report.Revision{
		Name: name, State: state, Pods: pods, Approximate: i%31 == 0, AskedAs: "system:serviceaccount:kube-system:replicaset-controller",
		Stamps: []report.StampCount{{Stamp: "v1:" + strings.Repeat(fmt.Sprintf("%08x", random.Uint32()), 8), Pods: pods}}, Fresh: "v1:" + strings.Repeat("a91be02c", 8),
		Sidecars: []string{"istio-proxy"},
	}
	switch state {
	case verdict.Blocked:
		found.Reason = "admission webhook \"policy.example.com\" denied the request: containers must not run as root:\n  istio-init (runAsUser 0), ask the platform team"
	case verdict.Unknown:
		found.Reason = `failed calling webhook "vault.hashicorp.com": connect: connection refused`
	case verdict.Unstable:
		found.Reason = "fresh injections differ at container/agent env[NONCE].value"
		found.Varies = []string{"container/agent:env[NONCE].value"}
	case verdict.Missing:
		found.Sidecars, found.Changes = []string{"istio-proxy"}, []verdict.Change{differs("container/istio-proxy", "", nil, map[string]any{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.29.0"})}
	case verdict.Orphaned:
		found.Loses, found.Changes = []string{"istio-proxy"}, []verdict.Change{differs("container/istio-proxy", "", map[string]any{"name": "istio-proxy"}, nil)}
	case verdict.Drifted, verdict.Modified:
		for range 1 + random.IntN(3) {
			found.Changes = append(found.Changes, all[random.IntN(len(all))]...)
		}
		if i%11 == 0 { // what nobody else has
			found.Changes = append(found.Changes, differs("container/istio-proxy", fmt.Sprintf("env[OWN_%d].value", i), nil, name))
		}
		if i%23 == 0 {
			found.Changes = append(found.Changes, verdict.Change{Part: "initContainer/setup", Path: "args", From: of([]string{"a"}), To: of([]string{"b"}), Spent: true})
			found.MoreChanges = 1234
		}
		found.Autoscaled = all[1][:1]
		found.Undecided = []string{"pod:imagePullSecrets[registry]"}
	case verdict.InSync:
		found.Metadata = []verdict.Change{differs("metadata", "annotations[example.com/injected-at]", "2026-01-01", "2026-01-02")}
		found.Ignored = i % 3
	case verdict.NotInjected, verdict.Mutated:
		found.Sidecars = nil
	}
	return found
}
