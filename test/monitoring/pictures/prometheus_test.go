//go:build monitoring

package pictures

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// server is the address of one that has the samples of a file, and nothing else.
type server string

func serve(t *testing.T, samples string) server {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"promtool", "prometheus", "chromium", "node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v: apt-get install --no-install-recommends prometheus chromium nodejs npm", err)
		}
	}
	data := filepath.Join(dir, "data")
	run(t, dir, "promtool", "tsdb", "create-blocks-from", "openmetrics", samples, data)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "prometheus", "--config.file", filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path", data, "--storage.tsdb.retention.time", "100y",
		// Blocks have no markers of where a series ends: each point is of the last scrape alone.
		"--query.lookback-delta", (step - time.Second).String(), "--web.listen-address", address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	p := server(address)
	if err := cluster.Poll(t.Context(), "Prometheus", func(ctx context.Context) error {
		return p.get(ctx, "/-/ready", nil, nil)
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// get reads an answer's data.
func (p server) get(ctx context.Context, path string, query url.Values, data any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(p)+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if data == nil {
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", path, response.Status)
		}
		return nil
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers %s: %w", path, response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s\n%s", path, answer.Error, query.Get("query"))
	}
	return nil
}

// answer is what Prometheus says to a query, as it says it.
type answer struct {
	ResultType string            `json:"resultType"`
	Result     []json.RawMessage `json:"result"`
}

// ask asks for the evening, or for the day in steps.
func (p server) ask(ctx context.Context, expr string, instant bool, width time.Duration) (answer, error) {
	seconds := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	query, path := url.Values{"query": {expr}, "time": {seconds(evening)}}, "/api/v1/query"
	if !instant {
		query.Set("start", seconds(morning))
		query.Set("end", seconds(evening))
		query.Set("step", strconv.Itoa(int(width.Seconds())))
		path = "/api/v1/query_range"
	}
	var found answer
	err := p.get(ctx, path, query, &found)
	return found, err
}
