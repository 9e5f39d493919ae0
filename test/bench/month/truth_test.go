package month

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// injections asks for a dry run of the script's template of each workload, which
// deploys do not change.
func (w *world) injections(ctx context.Context) ([]injection, error) {
	all := make([]injection, len(w.script.workloads))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for n, of := range w.script.workloads {
		group.Go(func() error {
			var template corev1.PodTemplateSpec
			if err := yaml.UnmarshalStrict([]byte(of.template()), &template); err != nil {
				return fmt.Errorf("read the template of %s: %w", of.name, err)
			}
			pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
			pod.GenerateName = of.name + "-"
			// A webhook that does not answer in time is asked again.
			return cluster.Poll(ctx, "a Pod of "+of.name, func(ctx context.Context) error {
				made, err := w.Client().CoreV1().Pods(of.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					return err
				}
				all[n], err = injectionOf(made.Spec)
				return err
			})
		})
	}
	return all, group.Wait()
}

// injectionOf is a Pod's whole spec but for the token's volume, which has another
// name in each Pod.
func injectionOf(spec corev1.PodSpec) (injection, error) {
	const token = "kube-api-access-"
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, token) })
	var found injection
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = slices.DeleteFunc(list[i].VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(m.Name, token) })
			found.sidecar = found.sidecar || list[i].Name == istio.ProxyContainer
		}
	}
	text, err := json.Marshal(spec)
	found.spec = string(text)
	return found, err
}

// drifted are the Pods that were injected otherwise than they would be now.
func (w *world) drifted() map[types.UID]livePod {
	all := maps.Clone(w.live)
	maps.DeleteFunc(all, func(_ types.UID, p livePod) bool { return p.injection == w.fresh[p.Workload] })
	return all
}

// agree compares what the auditor found with the truth.
func (w *world) agree(t *testing.T, found *report.Report) {
	t.Helper()
	want, seen := w.drifted(), 0
	for _, item := range found.Items {
		for _, revision := range item.Revisions {
			for state, members := range revision.Members {
				if !state.Drift() && state != verdict.InSync && state != verdict.NotInjected {
					t.Errorf("%s %s/%s is %s: %s", item.Kind, item.Namespace, item.Name, state, revision.Reason)
				}
				for _, member := range members {
					seen++
					pod, ok := w.live[types.UID(member.UID)]
					if !ok {
						t.Errorf("Pod %s/%s is not known", item.Namespace, member.Name)
						continue
					}
					_, drifted := want[types.UID(member.UID)]
					if drifted != state.Drift() {
						t.Errorf("Pod %s/%s is %s, and what was injected differs: %t; changes %v\nthen %s\nnow  %s",
							item.Namespace, member.Name, state, drifted, revision.Changes, pod.spec, w.fresh[pod.Workload].spec)
					}
					if (state == verdict.NotInjected) == pod.sidecar {
						t.Errorf("Pod %s/%s is %s, and has a sidecar: %t", item.Namespace, member.Name, state, pod.sidecar)
					}
				}
			}
		}
	}
	if seen != len(w.live) {
		t.Errorf("the audit has %d Pods of %d", seen, len(w.live))
	}
	w.audits, w.verdicts = w.audits+1, w.verdicts+seen
}
