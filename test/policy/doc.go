// Package policy evaluates the admission policies of the manifests as an API server
// does, by its own code, and without one: what they decide, and at what cost. That
// they are in force on a real one is for the acceptance tests.
package policy
