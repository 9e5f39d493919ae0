// Package certs gives the stamper its serving certificate: it keeps a
// certificate authority and a certificate issued by it in two Secrets, and the
// authority's certificate in the caBundle of the webhook configuration.
//
// There are two levels so that renewals never change the caBundle: API servers
// learn a new one through informers and acknowledge nothing, so each change of
// it is a moment in which admission may fail (and the stamper fails open).
//
// What to do next is decided by policy.next, a function of what one look at the
// cluster found and of what the controller has seen before: write one object, or
// wait. Where a change of the authority has come to stands in the Secrets and the
// caBundle alone, so that any controller can go on at any point; how long API
// servers have had to learn a caBundle, each controller measures itself.
//
// [Run] is the edge: it watches exactly three objects by name and takes the
// steps. It runs under an identity of its own that serves nothing, because who
// may write a MutatingWebhookConfiguration may as well be cluster-admin.
package certs
