// Package policies finds out what admission would make of Pods if admission policies were in
// the cluster that are not yet: which mutating ones would change them, and which validating
// ones would refuse them. Nothing in the cluster is changed.
//
// Policies are evaluated by the API server's own plugins, which see the cluster through the
// caller's rights, and these policies and no others in the place of its own. Mutating
// policies are asked about the Pod as it was before webhooks were; what they make of it the
// cluster is asked about in a dry run, so that its webhooks, and its own policies, answer.
// Validating ones are asked about what that gives, as the API server asks them last.
package policies
