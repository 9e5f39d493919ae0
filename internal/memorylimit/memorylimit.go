// Package memorylimit lets the garbage collector know how much memory the
// container has: a program that nears its limit collects more often instead of
// being killed.
package memorylimit

import (
	"fmt"
	"runtime/debug"
	"strconv"
)

// Variable holds the container's limit in bytes. The manifests fill it from
// limits.memory (resourceFieldRef), which the node's memory stands in for where
// there is no limit.
const Variable = "MEMORY_LIMIT"

// Set makes nine tenths of Variable the limit of Go's heap and stacks; the rest
// is for what Go does not count. It changes nothing where GOMEMLIMIT says what
// the limit is, or where there is no Variable.
func Set(getenv func(string) string) error {
	limit, err := limitOf(getenv)
	if err == nil && limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return err
}

// limitOf returns 0 where there is none to set.
func limitOf(getenv func(string) string) (int64, error) {
	value := getenv(Variable)
	if value == "" || getenv("GOMEMLIMIT") != "" {
		return 0, nil
	}
	limit, err := strconv.ParseInt(value, 10, 64)
	if err != nil || limit <= 0 {
		return 0, fmt.Errorf("the environment variable %s=%q is no number of bytes", Variable, value)
	}
	return limit / 10 * 9, nil
}
