package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// listWays are the ways to read all Pods; compressed: the API server compresses what
// it sends, as it does for clients that do not say otherwise.
var listWays = []struct {
	name       string
	compressed bool
	query      url.Values
}{
	{"list-pages", true, url.Values{"limit": {"500"}}},
	{"list-pages-plain", false, url.Values{"limit": {"500"}}},
	{"list-cache", true, url.Values{"resourceVersion": {"0"}}},
	{"list-cache-plain", false, url.Values{"resourceVersion": {"0"}}},
	{"list-watch", true, url.Values{
		"watch": {"true"}, "sendInitialEvents": {"true"}, "allowWatchBookmarks": {"true"}, "resourceVersionMatch": {"NotOlderThan"},
	}},
}

// measureLists measures what the ways to read all Pods cost the API server: time,
// processor time and the most that it has in memory meanwhile. The answers are thrown
// away.
func (s scale) measureLists(ctx context.Context, out io.Writer, c *cluster.Cluster, p population) error {
	for _, way := range listWays {
		result := row{benchmark: way.name, pods: p.pods(), workloads: len(p.workloads)}
		config := c.RESTConfig()
		config.DisableCompression = !way.compressed
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			return err
		}
		var times, cpu []float64
		for range scaleRounds {
			var took float64
			cost, err := apiServerCost(ctx, c, func() (err error) {
				took, err = seconds(func() error { return readPods(ctx, client, config.Host, way.query) })
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			times, cpu, result.rss = append(times, took), append(cpu, cost.cpu), max(result.rss, cost.rss)
		}
		result.seconds, result.cpu = median(times), median(cpu)
		fmt.Fprintf(out, "%s: %.2f s, of the API server %.2f s on a processor and %.0f MB at most\n", way.name, result.seconds, result.cpu, result.rss)
		if err := s.add(result); err != nil {
			return err
		}
	}
	return nil
}

// apiServerCost returns what the API server took meanwhile.
func apiServerCost(ctx context.Context, c *cluster.Cluster, work func() error) (row, error) {
	pid := c.APIServer().PID()
	before, err := apiServerCPU(ctx, c)
	if err != nil {
		return row{}, err
	}
	// 5 has the kernel forget the most that there was in memory: proc(5).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return row{}, err
	}
	if err := work(); err != nil {
		return row{}, err
	}
	after, err := apiServerCPU(ctx, c)
	if err != nil {
		return row{}, err
	}
	memory, err := install.MemoryOf(pid)
	return row{cpu: after - before, rss: float64(memory.Most) / 1e6}, err
}

// apiServerCPU is the processor's time of the API server since its start, in seconds.
func apiServerCPU(ctx context.Context, c *cluster.Cluster) (float64, error) {
	text, err := c.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var value float64
		if n, _ := fmt.Sscanf(line, "process_cpu_seconds_total %g", &value); n == 1 {
			return value, nil
		}
	}
	return 0, fmt.Errorf("the API server's metrics have no process_cpu_seconds_total")
}

// readPods reads all Pods; of a watch what there was at its begin.
func readPods(ctx context.Context, client *http.Client, host string, query url.Values) error {
	ctx, done := context.WithCancel(ctx) // ends a watch
	defer done()
	token := ""
	for {
		page := url.Values{"continue": {token}}
		for key, values := range query {
			page[key] = values
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/api/v1/pods?"+page.Encode(), nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		switch {
		case response.StatusCode != http.StatusOK:
			err = fmt.Errorf("answered with %s", response.Status)
		case query.Has("watch"):
			err = untilBookmark(response.Body)
		default:
			token, err = continueToken(response.Body)
		}
		response.Body.Close()
		if err != nil || token == "" {
			return err
		}
	}
}

// untilBookmark reads a watch until all Pods have come that there were.
func untilBookmark(body io.Reader) error {
	lines := bufio.NewReaderSize(body, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, `{"type":"BOOKMARK"`) && strings.Contains(line, `"k8s.io/initial-events-end":"true"`) {
			return nil
		}
	}
}

// continueToken reads a page to its end. The token is in the list's metadata, before
// the items.
func continueToken(body io.Reader) (string, error) {
	head := make([]byte, 4096)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	var list struct {
		Metadata struct{ Continue string }
	}
	text, _, found := strings.Cut(string(head[:n]), `,"items":[`)
	if !found {
		return "", fmt.Errorf("the answer is no list: %s", head[:n])
	}
	if err := json.Unmarshal([]byte(text+"}"), &list); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, body)
	return list.Metadata.Continue, err
}
