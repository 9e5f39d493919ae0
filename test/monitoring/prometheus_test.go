//go:build monitoring

package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// manifests are this repository's.
const manifests = "../../manifests"

// program returns where a program is, and says what to install if it is not.
func program(name, from string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is missing: %s (%w)", name, from, err)
	}
	return path, nil
}

const (
	prometheusPackage = "install Debian's package prometheus: apt-get install --no-install-recommends prometheus"
	nodePackage       = "install Node.js and npm: apt-get install nodejs npm"
)

// prometheus is a running one.
type prometheus struct {
	*cluster.Process
	address string
	started time.Time
}

// target is something to scrape, under the labels that the Prometheus operator
// gives to it.
type target struct {
	job, address string
	labels       map[string]string
	config       map[string]any
}

// startPrometheus starts one that knows the rules and scrapes the targets each
// second; name is what scrapes call the cluster, and nothing if it is empty.
func startPrometheus(ctx context.Context, c *cluster.Cluster, name string, targets ...target) (*prometheus, error) {
	binary, err := program("prometheus", prometheusPackage)
	if err != nil {
		return nil, err
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.Dir(), "prometheus"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	rules, err := filepath.Abs(filepath.Join(manifests, "prometheus", "rules.yaml"))
	if err != nil {
		return nil, err
	}
	jobs := map[string]map[string]any{}
	var scrapes []map[string]any
	for _, t := range targets {
		job := jobs[t.job]
		if job == nil {
			job = map[string]any{"job_name": t.job, "static_configs": []any{}}
			for key, value := range t.config {
				job[key] = value
			}
			jobs[t.job] = job
			scrapes = append(scrapes, job)
		}
		labels := map[string]string{}
		maps.Copy(labels, t.labels)
		if name != "" {
			labels["cluster"] = name
		}
		job["static_configs"] = append(job["static_configs"].([]any), map[string]any{"targets": []string{t.address}, "labels": labels})
	}
	config, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files":     []string{rules},
		"scrape_configs": scrapes,
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	p := &prometheus{address: fmt.Sprintf("127.0.0.1:%d", port), started: time.Now()}
	p.Process, err = c.Run("prometheus"+name, binary, []string{
		"--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.address,
	}, nil)
	if err != nil {
		return nil, err
	}
	return p, cluster.Poll(ctx, "Prometheus", func(ctx context.Context) error {
		return p.get(ctx, "/-/ready", nil, nil)
	}, p.Process)
}

// get reads an answer's data.
func (p *prometheus) get(ctx context.Context, path string, query url.Values, data any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path+"?"+query.Encode(), nil)
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
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers %s: %w", path, response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// series is a result's.
type series struct {
	Metric map[string]string
	Value  [2]any   // of a moment
	Values [][2]any // over time
}

type result struct {
	ResultType string
	Result     []series
}

// instant asks for now.
func (p *prometheus) instant(ctx context.Context, expr string) ([]series, error) {
	var found result
	err := p.get(ctx, "/api/v1/query", url.Values{"query": {expr}}, &found)
	return found.Result, err
}

// over asks for each second since Prometheus was started, and for the one that has
// begun.
func (p *prometheus) over(ctx context.Context, expr string) ([]series, error) {
	var found result
	seconds := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	err := p.get(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {seconds(p.started)}, "end": {seconds(time.Now().Add(time.Second))}, "step": {"1"},
	}, &found)
	return found.Result, err
}

// until waits until an expression has a result now.
func (p *prometheus) until(ctx context.Context, expr string) error {
	return cluster.Poll(ctx, "a result of "+expr, func(ctx context.Context) error {
		found, err := p.instant(ctx, expr)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("none")
		}
		return err
	}, p.Process)
}

// numbers tells whether a value is one: a quotient of nothing is NaN.
func numbers(found []series) bool {
	number := func(value [2]any) bool {
		text, ok := value[1].(string)
		return ok && !strings.Contains(text, "NaN")
	}
	for _, s := range found {
		if s.Value[1] != nil && number(s.Value) {
			return true
		}
		for _, value := range s.Values {
			if number(value) {
				return true
			}
		}
	}
	return false
}

// apiServer is the target that the API server is.
func apiServer(c *cluster.Cluster) (target, error) {
	config := c.RESTConfig()
	address, err := url.Parse(config.Host)
	if err != nil {
		return target{}, err
	}
	ca := config.CAFile
	if len(config.CAData) > 0 {
		ca = filepath.Join(c.Dir(), "prometheus-ca.crt")
		if err := os.WriteFile(ca, config.CAData, 0o600); err != nil {
			return target{}, err
		}
	}
	return target{job: "apiserver", address: address.Host, config: map[string]any{
		"scheme":        "https",
		"authorization": map[string]any{"credentials": config.BearerToken},
		"tls_config":    map[string]any{"ca_file": ca},
		// Its scrape takes longer than others on a busy machine.
		"scrape_interval": "2s", "scrape_timeout": "2s",
	}}, nil
}

// ours is a target in the product's namespace, scraped as the manifests say.
func ours(job, pod, address string, honorLabels bool) target {
	return target{
		job: job, address: address,
		labels: map[string]string{"namespace": install.Namespace, "pod": pod},
		config: map[string]any{"honor_labels": honorLabels},
	}
}
