package doctor

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
)

// proofs asks for what the policies forbid, as the identities that they are for, in
// the installation's own namespace, and wants to be refused.
func (e *examiner) proofs(ctx context.Context) {
	if !e.options.ProbePolicy {
		for _, f := range e.fences() {
			e.add(topic{checkPolicyProof, f.policy}.notChecked("doctor --probe-policy tries it, as the identity that it is for", "not proven to be in force"))
		}
		return
	}
	accounts := []string{auditor}
	canRollOut := e.installed.rollout.err == nil
	if canRollOut {
		accounts = append(accounts, rollout)
	}
	for _, account := range accounts {
		e.add(e.prove(ctx, dryRunPolicy, account, fence.ProveDryRunOnly))
	}
	switch t := (topic{checkPolicyProof, rolloutPolicy}); {
	case canRollOut:
		e.add(e.prove(ctx, rolloutPolicy, rollout, fence.ProveRolloutOnly))
	case e.installed.rollout.missing():
		e.add(t.notChecked("", "there is no identity that may roll out, to try it with"))
	default:
		e.add(t.unread(e.installed.rollout.err))
	}
}

// prove has a policy proven as the account, if the person who runs this may
// impersonate it.
func (e *examiner) prove(ctx context.Context, policy, account string, proof func(context.Context, kubernetes.Interface, string) error) Finding {
	t := topic{checkPolicyProof, policy + ", as " + account}
	config := rest.CopyConfig(e.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: userOf(e.home(), account)}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return t.unread(err)
	}
	err = proof(ctx, client, e.home())
	_ = e.note(errors.Unwrap(err)) // of the request alone
	return judgeProof(t, err)
}

// judgeProof judges how an attempt ended that the policy should refuse.
func judgeProof(t topic, err error) Finding {
	switch _, open := errors.AsType[*fence.OpenError](err); {
	case err == nil:
		return t.ok("what it forbids was refused")
	case open:
		return t.wrong("see the check "+checkPolicy+"; until it is repaired, unbind the identities: "+unbind,
			"what it forbids was allowed: it is not in force")
	case strings.Contains(err.Error(), "cannot impersonate"):
		return t.notChecked("ask somebody who may impersonate ServiceAccounts", "you may not act as that identity: %v", cmp.Or(errors.Unwrap(err), err))
	}
	return t.notChecked("see whether something else refuses it first", "refused, but not by the policy: %v", cmp.Or(errors.Unwrap(err), err))
}
