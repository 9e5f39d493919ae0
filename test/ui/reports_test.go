package ui

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const nasty = `<script>alert(1)</script>`

func raw(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // only for values that this package cannot have meant
	}
	return text
}

func change(part, path string, from, to any) verdict.Change {
	c := verdict.Change{Part: part, Path: path}
	if from != nil {
		c.From = raw(from)
	}
	if to != nil {
		c.To = raw(to)
	}
	return c
}

func workload(namespace, kind, name string, state verdict.State, pods int, reason string, changes ...verdict.Change) report.Item {
	started := time.Now().Add(-50 * time.Hour)
	item := report.Item{
		Namespace: namespace, Kind: kind, Name: name, State: state, Pods: map[verdict.State]int{state: pods}, OldestPod: &started,
		Revisions: []report.Revision{{
			Name: name + "-69c6f74b8b", State: state, Pods: pods, Changes: changes, Reason: reason,
			Stamps: []report.StampCount{{Stamp: "v1:" + strings.Repeat("3f2a9c51", 8), Pods: pods}}, Fresh: "v1:" + strings.Repeat("a91be02c", 8),
		}},
	}
	if state != verdict.NotInjected && state != verdict.Mutated && state != verdict.Missing {
		item.Revisions[0].Sidecars = []string{"istio-init", "istio-proxy"}
	}
	switch {
	case state == verdict.Drifted && kind != "Job":
		item.Rollout = report.Rollout{Eligible: true, Strategy: "restart"}
	case state == verdict.Orphaned:
		item.Rollout = report.Rollout{Reason: "would lose sidecar istio-proxy"}
	}
	return item
}

// upgrade is what a new release of an injector changes.
func upgrade() []verdict.Change {
	return []verdict.Change{
		change("container/istio-proxy", "args", []string{"proxy", "sidecar", "--log_output_level=default:info"},
			[]string{"proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--log_output_level=default:warn"}),
		change("container/istio-proxy", "env[ISTIO_META_NETWORK]", nil, map[string]string{"name": "ISTIO_META_NETWORK", "value": "east"}),
		change("container/istio-proxy", "env[PILOT_CERT_PROVIDER].value", "istiod", "custom"),
		change("container/istio-proxy", "image", "istio/proxyv2:1.27.0", "istio/proxyv2:1.28.0"),
		change("container/istio-proxy", "resources.requests.cpu", "100m", "150m"),
		change("container/istio-proxy", "securityContext.runAsUser", 1337, 2337),
		change("initContainer/istio-init", "image", "istio/proxyv2:1.27.0", "istio/proxyv2:1.28.0"),
		change("volumes", "[istio-podinfo].downwardAPI", map[string]any{"items": []any{"labels"}}, nil),
	}
}

// history ends with what a report says.
func history(points int, last float64) []report.Point {
	var found []report.Point
	for i := range points {
		found = append(found, report.Point{
			Time:         time.Now().Add(time.Duration(i-points) * 10 * time.Minute),
			DriftPercent: max(0, 45+30*math.Sin(float64(i)/9)-float64(i)/4),
		})
	}
	found[points-1].DriftPercent = last
	return found
}

// typical has every state, a few namespaces, and a name that is markup.
func typical() *report.Report {
	refusal := `admission webhook "policy.example.com" denied the request: containers must not run as root:` + "\n  istio-init (runAsUser 0), ask the platform team for an exemption"
	mixed := workload("shop", "StatefulSet", "orders-db", verdict.Drifted, 1, "", upgrade()[3])
	mixed.Pods[verdict.InSync] = 2
	mixed.Revisions = append(mixed.Revisions, workload("", "", "orders-db-old", verdict.InSync, 2, "").Revisions...)
	scaled := workload("shop", "Deployment", "cart", verdict.InSync, 5, "")
	scaled.Revisions[0].Autoscaled = upgrade()[4:5]
	items := []report.Item{
		workload("batch", "Job", "nightly-report", verdict.Blocked, 1, refusal),
		workload("shop", "Deployment", "web", verdict.Drifted, 3, "", upgrade()...),
		workload("shop", "Deployment", "web-2", verdict.Drifted, 2, "", upgrade()[3:5]...),
		workload("shop", "Deployment", "web-10", verdict.Drifted, 4, "", upgrade()[3:4]...),
		mixed, scaled,
		workload("payments", "Deployment", "ledger", verdict.Missing, 2, "", change("container/istio-proxy", "", nil, map[string]any{"name": "istio-proxy", "image": "istio/proxyv2:1.28.0"})),
		workload("payments", "DaemonSet", "fraud-agent", verdict.Orphaned, 4, "", change("container/istio-proxy", "", map[string]any{"name": "istio-proxy"}, nil)),
		workload("payments", "Deployment", "settings", verdict.Modified, 1, "", change("container/istio-proxy", "image", "istio/proxyv2:debug", "istio/proxyv2:1.28.0")),
		workload("batch", "Deployment", "importer", verdict.Unknown, 1, `failed calling webhook "vault.hashicorp.com": connect: connection refused`),
		workload("batch", "Deployment", "roller", verdict.Unstable, 1, "fresh injections differ at container/agent env[NONCE].value"),
		workload("kube-system", "Deployment", "coredns", verdict.NotInjected, 2, ""),
		workload("kube-system", "DaemonSet", "node-exporter", verdict.Mutated, 3, ""),
		workload("a-team-with-a-rather-long-name", "Deployment", "recommendation-service-with-a-long-name-v2", verdict.InSync, 12, ""),
		workload(nasty, "Deployment", nasty, verdict.Drifted, 1, nasty+"\u202eevil", change("container/"+nasty, nasty, nasty, "<img src=x onerror=alert(2)>")),
	}
	r := report.New(report.DriftReport, time.Now().Add(-3*time.Minute), items, 2)
	r.IgnoredPaths = []string{"container/agent:env[NONCE]"}
	r.Notes = []string{"Autoscalers could not be read: forbidden; annotations tell."}
	return r
}

// large has n workloads in 60 namespaces; every third drifted.
func large(n int) *report.Report {
	var items []report.Item
	states := []verdict.State{verdict.Drifted, verdict.InSync, verdict.InSync}
	for i := range n {
		namespace, name := fmt.Sprintf("team-%d", i%60), fmt.Sprintf("service-%d", i)
		item := workload(namespace, "Deployment", name, states[(i+i/60)%3], 1+i%5, "")
		if (i+i/60)%3 == 0 {
			item = workload(namespace, "Deployment", name, states[(i+i/60)%3], 1+i%5, "", upgrade()...)
		}
		items = append(items, item)
	}
	return report.New(report.DriftReport, time.Now(), items, 0)
}
