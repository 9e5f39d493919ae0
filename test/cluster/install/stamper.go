package install

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// StamperMemory is the stamper's limits.memory in the manifests, in bytes.
const StamperMemory = 128 << 20

// Stamper is a stamper that no webhook configuration refers to: what it gets is
// sent straight to it.
type Stamper struct {
	*cluster.Process
	// Address is the HOST:PORT at which it answers AdmissionReviews, Health that
	// of its probes.
	Address, Health string
	// Authority is the certificate that clients trust (PEM).
	Authority []byte
	metrics   string
}

// RunStamper starts the program beside the cluster, told of StamperMemory, and
// returns when it is ready. The cluster's end is its own.
func RunStamper(ctx context.Context, c *cluster.Cluster, program string) (*Stamper, error) {
	dir, err := os.MkdirTemp(c.Dir(), "stamper-")
	if err != nil {
		return nil, err
	}
	cert, err := cluster.NewServingCert(dir)
	if err != nil {
		return nil, err
	}
	s := &Stamper{Authority: cert.CA}
	for _, address := range []*string{&s.Address, &s.Health, &s.metrics} {
		port, err := cluster.FreePort()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	s.Process, err = c.Run(filepath.Base(dir), program, []string{
		"--bind-address", s.Address, "--cert-dir", dir,
		"--metrics-bind-address", s.metrics, "--health-probe-bind-address", s.Health,
	}, []string{fmt.Sprintf("%s=%d", memorylimit.Variable, StamperMemory)})
	if err != nil {
		return nil, err
	}
	return s, cluster.Poll(ctx, "the stamper", s.Ready, s.Process)
}

// Client returns a client that speaks HTTP/2, as API servers do: over one
// connection, which it keeps.
func (s *Stamper) Client() *http.Client {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(s.Authority)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2: true,
	}}
}

// URL is where it answers AdmissionReviews.
func (s *Stamper) URL() string { return "https://" + s.Address + "/stamp" }

// Ready fails unless the stamper says that it is ready.
func (s *Stamper) Ready(ctx context.Context) error { return ready(ctx, s.Health) }

func ready(ctx context.Context, health string) error {
	response, err := get(ctx, "http://"+health+"/readyz")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Metrics returns what MetricsAt does of the stamper's.
func (s *Stamper) Metrics(ctx context.Context) (map[string]float64, error) {
	return MetricsAt(ctx, s.metrics)
}

// MetricsAt returns the value of each series of /metrics at an address, by its name
// and labels as they stand there.
func MetricsAt(ctx context.Context, address string) (map[string]float64, error) {
	response, err := get(ctx, "http://"+address+"/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		if values[line[:max(space, 0)]], err = strconv.ParseFloat(line[space+1:], 64); err != nil {
			return nil, fmt.Errorf("read the metrics: %w", err)
		}
	}
	return values, lines.Err()
}

// get fails unless it is answered with status 200, over a connection of its own.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	return response, nil
}

// Memory is what a process has in memory (RSS), in bytes.
type Memory struct {
	Now, Most int64
	// File is the part of Now that are pages of files, the program's own above
	// all: the kernel can drop them, and has them once for all processes.
	File int64
}

// MemoryOf needs Linux.
func MemoryOf(pid int) (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of a process: %w", err)
	}
	kibibytes := map[string]int64{}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] == "kB" {
			if kibibytes[fields[0]], err = strconv.ParseInt(fields[1], 10, 64); err != nil {
				return Memory{}, fmt.Errorf("read the memory of a process: %w", err)
			}
		}
	}
	return Memory{kibibytes["VmRSS:"] << 10, kibibytes["VmHWM:"] << 10, kibibytes["RssFile:"] << 10}, nil
}
