package binaries

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Source is a module that nothing here builds, and of which tests need a file:
// the real definition of somebody's kind, say.
type Source struct {
	module, version string
	sum             string // as in go.sum
}

// ArgoRollouts is Argo Rollouts. What it requires (all of Kubernetes) stays out
// of every go.mod.
var ArgoRollouts = Source{"github.com/argoproj/argo-rollouts", "v1.10.1", "h1:6oyVPGiHHxu3ixkT6mngemh88HLPDoTX1IwO6KNR1Y4="}

// OpenReports defines the kinds of openreports.io.
var OpenReports = Source{"github.com/openreports/reports-api", "v0.2.1", "h1:g9KS3yle9Y1elmww4TK9EkD1rl6inIaiIJPX6e+u680="}

// PrometheusOperator defines the kinds of monitoring.coreos.com.
var PrometheusOperator = Source{"github.com/prometheus-operator/prometheus-operator", "v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="}

// File returns a file of the module, which is downloaded into Go's module cache
// unless it is there.
func (s Source) File(ctx context.Context, path string) ([]byte, error) {
	var out, errOut bytes.Buffer
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.module+"@"+s.version)
	download.Dir = os.TempDir() // not in a module, which might replace it
	download.Env = goEnv()
	download.Stdout, download.Stderr = &out, &errOut
	err := download.Run()
	var got struct{ Dir, Sum, Error string }
	if decoding := json.Unmarshal(out.Bytes(), &got); err != nil || decoding != nil || got.Error != "" {
		return nil, fmt.Errorf("download %s: %w %s%s", s.module, errors.Join(err, decoding), got.Error, &errOut)
	}
	if got.Sum != s.sum {
		return nil, fmt.Errorf("%s %s has the checksum %s, want %s", s.module, s.version, got.Sum, s.sum)
	}
	return os.ReadFile(filepath.Join(got.Dir, path))
}
