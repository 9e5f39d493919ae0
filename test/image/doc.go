// Package image checks the Dockerfile without a container engine: what it
// copies, what it builds, and what its image would run as.
package image
