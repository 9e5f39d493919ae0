package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

// contextsOf writes a kubeconfig with a context for each configuration, and returns
// its path.
func contextsOf(t *testing.T, configs map[string]*rest.Config) string {
	t.Helper()
	kubeconfig := clientcmdapi.NewConfig()
	for name, config := range configs {
		kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
		kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
		kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two real clusters, of which one has drifted; a third is not there, and a fourth
// identity may not list Pods.
func TestAuditOfSeveralClusters(t *testing.T) {
	t.Parallel()
	eu, us := testCluster(t), clustertest.New(t, cluster.Options{})
	program := testProduct(t).CLI
	namespace, setImage := ownInjector(t, eu)
	deployWeb(t, eu, namespace, 2, "web")
	setImage("proxy:2")
	if _, err := us.Kubectl(t.Context(), "", "create", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	deployWeb(t, us, namespace, 1, "web")
	audit := func(kubeconfig string, code int, args ...string) (out, errOut string) {
		t.Helper()
		args = slices.Concat([]string{"audit", "--kubeconfig", kubeconfig, "-n", namespace, "--exit-code"}, args)
		cmd := exec.CommandContext(t.Context(), program, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	gone := &rest.Config{Host: "https://127.0.0.1:1"}
	blind := account(t, us, namespace)
	all := contextsOf(t, map[string]*rest.Config{"eu": eu.RESTConfig(), "us": us.RESTConfig(), "gone": gone, "copy": eu.RESTConfig()})
	partial := contextsOf(t, map[string]*rest.Config{"eu": eu.RESTConfig(), "blind": blind, "gone": gone})

	t.Run("both", func(t *testing.T) {
		out, errOut := audit(all, 1, "--contexts", "us,eu", "-o", "json")
		checkClusters(t, out, "eu Deployment/web Drifted", "us Deployment/web NotInjected")
		if errOut != "" {
			t.Errorf("stderr: %s", errOut)
		}
		table, hint := audit(all, 1, "--contexts", "us,eu", "--state", "Drifted,NotInjected")
		for _, want := range []string{"CLUSTER  NAMESPACE", "eu       " + namespace, "us       " + namespace, "\n2 clusters: 2 workloads, 3 Pods: 2 Drifted, 1 NotInjected; drift 100.0 %; asked as the Pods' controllers\n  eu: 2 Drifted; drift 100.0 %\n  us: 1 NotInjected; drift –\n"} {
			if !strings.Contains(table, want) {
				t.Errorf("no %q in\n%s", want, table)
			}
		}
		if !strings.Contains(hint, " rollout ") || !strings.Contains(hint, "--context eu") || strings.Contains(hint, "--context us") {
			t.Errorf("not how to roll out in eu, and nowhere else:\n%s", hint)
		}
		audit(all, 0, "--contexts", "us")
	})
	t.Run("some fail", func(t *testing.T) {
		out, errOut := audit(partial, 2, "--all-contexts", "-o", "json")
		r := checkClusters(t, out, "eu Deployment/web Drifted")
		if len(r.Clusters) != 3 || r.Summary.Drift() != 100 {
			t.Fatalf("clusters %+v, summary %+v", r.Clusters, r.Summary)
		}
		for i, want := range []struct{ name, err string }{{"blind", "cannot list resource"}, {"eu", ""}, {"gone", "connection refused"}} {
			got := r.Clusters[i]
			if got.Name != want.name || !strings.Contains(got.Error, want.err) || (got.Error == "") != (want.err == "") || (got.Summary == nil) != (want.err != "") {
				t.Errorf("cluster %+v, want %+v", got, want)
			}
			if want.err != "" && (!strings.Contains(errOut, "\n  "+want.name+": ") || !strings.Contains(errOut, want.err)) {
				t.Errorf("stderr does not say of %s %q: %s", want.name, want.err, errOut)
			}
		}
		if len(r.Notes) < 2 || !strings.HasPrefix(r.Notes[0], "Cluster blind could not be audited: ") || !strings.HasPrefix(r.Notes[1], "Cluster gone could not be audited: ") {
			t.Errorf("notes %q", r.Notes)
		}
		audit(partial, 2, "--contexts", "gone,blind")
	})
	t.Run("nothing is audited", func(t *testing.T) {
		for contexts, want := range map[string]string{
			"eu,asia": `has no context "asia"; it has copy, eu, gone, us`,
			"eu,copy": "the contexts eu and copy are of the same cluster",
		} {
			out, errOut := audit(all, 2, "--contexts", contexts)
			if out != "" || !strings.Contains(errOut, want) {
				t.Errorf("%s: no %q in %q, or a report %q", contexts, want, errOut, out)
			}
		}
	})
	t.Run("contexts of one cluster", func(t *testing.T) {
		out, _ := audit(all, 2, "--all-contexts", "-o", "json") // gone is gone
		r := checkClusters(t, out, "copy Deployment/web Drifted", "us Deployment/web NotInjected")
		if want := "Context eu is of the same cluster as copy, and was left out."; !slices.Contains(r.Notes, want) {
			t.Errorf("notes %q", r.Notes)
		}
	})
}

// checkClusters compares each workload's cluster, name and state in a JSON report.
func checkClusters(t *testing.T, out string, want ...string) *report.Report {
	t.Helper()
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range r.Items {
		got = append(got, fmt.Sprintf("%s %s/%s %s", item.Cluster, item.Kind, item.Name, item.State))
	}
	if !slices.Equal(got, want) {
		t.Errorf("workloads %q, want %q", got, want)
	}
	return &r
}
