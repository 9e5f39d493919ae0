// Package pictures draws the dashboard with Grafana's own panels in Chromium, from
// what a real Prometheus says of a day of the product's own metrics, and holds what
// people read there to golden files. Its tests have the build tag monitoring, as they
// need Debian's packages prometheus and chromium, and npm: make test-monitoring.
package pictures
