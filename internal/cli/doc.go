// Package cli is the command line of sidecar-drift.
//
// Each command is an Options struct that goes through Complete, Validate and
// Run. Complete and Validate only look at flags and arguments: whatever is
// wrong with these is said before a kubeconfig is read or a cluster is asked.
// Reports go to the output stream, everything else to the error stream.
package cli

//go:generate go run ./gendocs ../../docs
