package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	corev1 "k8s.io/api/core/v1"
)

// deleteTimeout bounds the deletion of a Pod that should not have come to be,
// which is not given up when the examination is.
const deleteTimeout = 30 * time.Second

// proofs does what the policies forbid, as the identities that they are for, and
// wants to be refused.
func (e *examiner) proofs(ctx context.Context) {
	accounts := []string{auditor}
	canRollOut := e.installed.rollout.err == nil
	if canRollOut {
		accounts = append(accounts, rollout)
	}
	if !e.options.ProbePolicy {
		for _, f := range fences() {
			e.add(topic{checkPolicyProof, f.policy}.notChecked("doctor --probe-policy tries it, as the identity that it is for", "not proven to be in force"))
		}
		return
	}
	for _, account := range accounts {
		e.add(e.proveDryRunOnly(ctx, account))
	}
	switch t := (topic{checkPolicyProof, rolloutPolicy}); {
	case canRollOut:
		e.add(e.proveRolloutOnly(ctx))
	case e.installed.rollout.missing():
		e.add(t.notChecked("", "there is no identity that may roll out, to try it with"))
	default:
		e.add(t.unread(e.installed.rollout.err))
	}
}

// pose returns a client that is the account, if the person who runs this may
// impersonate it.
func (e *examiner) pose(account string) (kubernetes.Interface, error) {
	config := rest.CopyConfig(e.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: userOf(account)}
	return kubernetes.NewForConfig(config)
}

func (e *examiner) proveDryRunOnly(ctx context.Context, account string) Finding {
	t := topic{checkPolicyProof, dryRunPolicy + ", as " + account}
	client, err := e.pose(account)
	if err != nil {
		return t.unread(err)
	}
	pod, err := client.CoreV1().Pods(e.options.Namespace).Create(ctx, probePod(), metav1.CreateOptions{})
	if err != nil {
		return judgeProof(t, dryRunPolicy, e.note(err))
	}
	finding := judgeProof(t, dryRunPolicy, nil)
	if err := e.remove(ctx, pod); err != nil {
		finding.Remedy = fmt.Sprintf("kubectl -n %s delete pod %s (%v); %s", pod.Namespace, pod.Name, err, finding.Remedy)
	}
	return finding
}

// remove deletes the Pod as the person who runs this: the identity may not.
func (e *examiner) remove(ctx context.Context, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	return e.objects.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)),
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
}

// proveRolloutOnly asks for a change of our own Deployment that the policy
// forbids, in a dry run.
func (e *examiner) proveRolloutOnly(ctx context.Context) Finding {
	t := topic{checkPolicyProof, rolloutPolicy + ", as " + rollout}
	client, err := e.pose(rollout)
	if err != nil {
		return t.unread(err)
	}
	_, err = client.AppsV1().Deployments(namespace).Patch(ctx, stamper, types.MergePatchType,
		[]byte(`{"spec":{"minReadySeconds":1}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return judgeProof(t, rolloutPolicy, e.note(err))
}

// judgeProof judges how an attempt ended that the policy should refuse.
func judgeProof(t topic, policy string, err error) Finding {
	if err == nil {
		return t.wrong("see the check "+checkPolicy+"; until it is repaired, unbind the identities: kubectl delete clusterrolebinding sidecar-drift-auditor sidecar-drift-rollout",
			"what it forbids was allowed: it is not in force")
	}
	switch message := err.Error(); {
	case strings.Contains(message, "'"+policy+"'") && strings.Contains(message, "denied request"):
		return t.ok("what it forbids was refused")
	case strings.Contains(message, "cannot impersonate"):
		return t.notChecked("ask somebody who may impersonate ServiceAccounts", "you may not act as that identity: %v", err)
	}
	return t.notChecked("see whether something else refuses it first; choose another namespace: --namespace", "refused, but not by the policy: %v", err)
}
