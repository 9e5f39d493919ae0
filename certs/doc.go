// Package certs gives the stamper its serving certificate: it keeps a
// certificate authority and a certificate issued by it in two Secrets, and the
// authority's certificate in the caBundle of the webhook configuration.
//
// There are two levels so that renewals never change the caBundle: API servers
// learn a new one through informers and acknowledge nothing, so each change of
// it is a moment in which admission may fail (and the stamper fails open).
//
// What to create or replace is decided by [MakePlan], a function of values.
// [Run] is the edge: it watches exactly three objects by name and carries the
// plan out. It runs under an identity of its own that serves nothing, because
// who may write a MutatingWebhookConfiguration may as well be cluster-admin.
package certs
