// Command capture takes down what an API server upgrade does to a Pod: it has
// an older kube-apiserver store a Pod, with sidecars that an injector adds, and
// the test cluster's make the same Pod anew in a dry run, with the same injector.
//
//	go run ./test/cluster/capture -apiserver PATH -out auditor/verdict/testdata
//
// It writes golden folders of auditor/verdict: api-server-MAJOR.MINOR and, where
// the fresh Pod's sidecar has another image as well, api-server-MAJOR.MINOR-drifted.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

var (
	//go:embed template.yaml
	template []byte
	//go:embed injection.yaml
	injection []byte
)

const (
	namespace   = "shop" // the template's
	webhookName = "test-injector-capture"
)

func main() {
	apiserver := flag.String("apiserver", "", "the older kube-apiserver's binary")
	out := flag.String("out", "", "the directory that the folders are written to")
	flag.Parse()
	if *apiserver == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // deprecated fields are part of it
	if err := run(*apiserver, *out); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(apiserver, out string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	present, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, present.Stop()) }()
	sidecars, err := injector.Start(ctx, present, injector.Options{Name: "capture", Configuration: webhookName})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sidecars.Close(context.WithoutCancel(ctx))) }()
	older, err := startOlder(ctx, present, apiserver)
	if err != nil {
		return err
	}
	return capture(ctx, older, present.Client(), sidecars, out)
}

func capture(ctx context.Context, older, present kubernetes.Interface, sidecars *injector.Injector, out string) error {
	version, err := older.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	submitted, err := yaml.YAMLToJSON(template)
	if err != nil {
		return err
	}
	if err := inject(sidecars, injection); err != nil {
		return err
	}
	for _, client := range []kubernetes.Interface{older, present} {
		if err := prepare(ctx, client, submitted); err != nil {
			return err
		}
	}
	live, err := create(ctx, older, submitted)
	if err != nil {
		return err
	}
	fresh, err := create(ctx, present, submitted, metav1.DryRunAll)
	if err != nil {
		return err
	}
	if err := inject(sidecars, bytes.ReplaceAll(injection, []byte("proxy:1.0"), []byte("proxy:1.1"))); err != nil {
		return err
	}
	drifted, err := create(ctx, present, submitted, metav1.DryRunAll)
	if err != nil {
		return err
	}
	folder := filepath.Join(out, "api-server-"+version.Major+"."+version.Minor)
	return errors.Join(write(folder, submitted, live, fresh), write(folder+"-drifted", submitted, live, drifted))
}

// inject has the injector answer with a JSON patch, given as YAML.
func inject(sidecars *injector.Injector, patch []byte) error {
	var operations []injector.Operation
	if err := yaml.Unmarshal(patch, &operations); err != nil {
		return fmt.Errorf("injection.yaml: %w", err)
	}
	sidecars.Inject(func(injector.Request) []injector.Operation { return operations })
	return nil
}

// prepare makes the namespace and its ServiceAccount, which a controller would
// make, and returns when the injector is asked about the namespace's Pods.
func prepare(ctx context.Context, client kubernetes.Interface, submitted []byte) error {
	applied := metav1.ApplyOptions{FieldManager: "capture"}
	labels := map[string]string{injector.NamespaceLabel: "yes"}
	_, err := client.CoreV1().Namespaces().Apply(ctx, corev1.Namespace(namespace).WithLabels(labels), applied)
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ServiceAccounts(namespace).Apply(ctx, corev1.ServiceAccount("default", namespace), applied)
	if err != nil {
		return err
	}
	return cluster.Poll(ctx, "the injector to be asked", func(ctx context.Context) error {
		pod, err := create(ctx, client, submitted, metav1.DryRunAll)
		if err == nil && !bytes.Contains(pod, []byte("sidecar/proxy")) {
			err = errors.New("a Pod was not injected")
		}
		return err
	})
}

// create creates the Pod as kube-controller-manager does and returns what the
// API server answers.
func create(ctx context.Context, client kubernetes.Interface, pod []byte, dryRun ...string) ([]byte, error) {
	options := &metav1.CreateOptions{DryRun: dryRun, FieldManager: "kube-controller-manager"}
	return client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").
		VersionedParams(options, scheme.ParameterCodec).
		SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").
		Body(pod).Do(ctx).Raw()
}

// write writes a folder of golden files.
func write(folder string, template, live, fresh []byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, document := range map[string][]byte{"template.json": template, "live.json": live, "fresh.json": fresh} {
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSpace(document), "", " "); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		indented.WriteByte('\n')
		if err := os.WriteFile(filepath.Join(folder, name), indented.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
