// Package monitoring runs the dashboard and the alerts against a real Prometheus
// that scrapes the real auditor, the real stamper and the real API server. Its
// tests have the build tag monitoring, as they need Debian's package prometheus
// and npm: make test-monitoring.
package monitoring
