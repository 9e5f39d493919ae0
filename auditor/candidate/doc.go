// Package candidate finds out what admission would make of Pods if another program answered in
// the place of one of the cluster's mutating webhooks: the next release of an injector, or
// one with another template. Nothing in the cluster is changed.
//
// (With --with-label, which package injection calls a preview, the Pods are others. Here they
// are the same, and who answers is another one.)
//
// A dry run gives the Pod of today. From that and what was submitted follows the Pod as it
// was before webhooks were asked ([given]). The webhooks of the cluster are asked in their
// order what they make of it, which must be what the dry run gave: so a workload is Unknown of
// which something cannot be reconstructed. Then they are asked again, with the candidate in
// the place of the present one, and the API server validates the result.
package candidate
