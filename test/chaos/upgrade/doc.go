// Package upgrade tests the way from an earlier installation to this one, and from
// this one to none, while Pods are created: make chaos.
package upgrade
