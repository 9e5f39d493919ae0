// Package versions tells apart what injectors put into Pods: which specs of a sidecar run
// where. It is pure.
//
// Injectors write a Pod's own names, ports and annotations into what they inject, so that
// nearly every workload has a stamp of its own. A version is the rest: two workloads have the
// same one if their injected containers differ in nothing but what is taken from themselves.
package versions
