package acceptance

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// pageHost is the name by which a daemon's page may be called beside localhost.
const pageHost = "drift.example.com"

// checkHosts checks that the page and its data answer to their names alone: a site
// whose name resolves to this machine is told nothing of the cluster.
func checkHosts(t *testing.T, page string) {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(page, "http://"), "/"), ":")
	for host, want := range map[string]int{
		"localhost:" + port:             http.StatusOK,
		"[::1]:" + port:                 http.StatusOK,
		pageHost:                        http.StatusOK,
		"evil.example:" + port:          http.StatusMisdirectedRequest,
		"localhost.evil.example":        http.StatusMisdirectedRequest,
		"127.0.0.1.nip.example:" + port: http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"", "report.json"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want || want != http.StatusOK && !strings.Contains(string(body), "--page-host") {
				t.Errorf("/%s for %s: %s, %d bytes", path, host, response.Status, len(body))
			}
		}
	}
}
