// Package config reads the configuration file of the auditor's daemon, strictly,
// and says with line and key all that is wrong with it.
//
// Its keys are called as the command line's flags are. Their doc comments are
// what docs/configuration.md and the JSON Schema say about them.
package config
