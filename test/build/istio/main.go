// Command istio-injector is Istio's own injection webhook as a single process:
// the packages that istiod runs, fed from files instead of a cluster.
//
//	istio-injector render --out DIR --set values.global.tag=1.27.0
//	istio-injector serve --dir DIR --address 127.0.0.1:15017 --tls-cert F --tls-key F
//
// render writes the files `config` and `values`, as the ConfigMap
// istio-sidecar-injector holds them, `mesh`, as the ConfigMap istio does,
// `proxyconfigs.yaml`, the ProxyConfigs that it is given, and `webhook.yaml`,
// the webhook configuration of the same charts, and prints a digest of all but
// the last. serve reloads those when they are replaced, as istiod does; GET
// /loaded answers with the digest of what is in force.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/operator/pkg/manifest"
	"istio.io/istio/operator/pkg/render"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/kube/inject"
	"istio.io/istio/pkg/kube/multicluster"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	configFile       = "config"
	valuesFile       = "values"
	meshFile         = "mesh"
	proxyConfigsFile = "proxyconfigs.yaml"
	webhookFile      = "webhook.yaml"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "istio-injector:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: istio-injector render|serve [flags]")
	}
	switch args[0] {
	case "render":
		return renderCharts(args[1:])
	case "serve":
		return serve(ctx, args[1:])
	default:
		return fmt.Errorf("unknown command %q; use render or serve", args[0])
	}
}

type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ",") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

func renderCharts(args []string) error {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	out := flags.String("out", "", "directory to write to")
	sets := stringList{"profile=minimal"}
	flags.Var(&sets, "set", "a value of the charts, PATH=VALUE; repeatable")
	revision := flags.String("revision", "", "Istio's revision; empty is the default one")
	proxyConfigs := flags.String("proxy-configs", "", "ProxyConfig resources, as YAML documents")
	if err := flags.Parse(args); err != nil {
		return err
	}
	suffix := ""
	if *revision != "" {
		sets = append(sets, "revision="+*revision)
		suffix = "-" + *revision
	}
	rendered, _, err := render.GenerateManifest(nil, sets, true, nil, nil)
	if err != nil {
		return fmt.Errorf("render Istio's charts: %w", err)
	}
	files, err := injectorFiles(rendered, suffix)
	if err != nil {
		return err
	}
	if _, err := proxyConfigStore(*proxyConfigs); err != nil {
		return err
	}
	files[proxyConfigsFile] = *proxyConfigs
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := replaceFile(filepath.Join(*out, name), content); err != nil {
			return err
		}
	}
	watcher, err := newWatcher(*out)
	if err != nil {
		return err
	}
	config, values, err := watcher.Get()
	if err != nil {
		return fmt.Errorf("read what was rendered: %w", err)
	}
	if _, err := inject.NewValuesConfig(values); err != nil {
		return fmt.Errorf("read what was rendered: %w", err)
	}
	mesh, err := mesh.ReadMeshConfig(filepath.Join(*out, meshFile))
	if err != nil {
		return fmt.Errorf("read what was rendered: %w", err)
	}
	d, err := digest(config, values, mesh, *proxyConfigs)
	if err != nil {
		return err
	}
	fmt.Println(d)
	return nil
}

func newWatcher(dir string) (inject.Watcher, error) {
	return inject.NewFileWatcher(filepath.Join(dir, configFile), filepath.Join(dir, valuesFile))
}

// digest identifies what decides about an injection as the webhook holds it,
// read from files or not.
func digest(config *inject.Config, values string, mesh *meshconfig.MeshConfig, proxyConfigs string) (string, error) {
	template, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("encode the injection configuration: %w", err)
	}
	settings, err := proto.MarshalOptions{Deterministic: true}.Marshal(mesh)
	if err != nil {
		return "", fmt.Errorf("encode the mesh configuration: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q\n%q\n%q\n%q\n", template, values, settings, proxyConfigs)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// injectorFiles picks the injector's files from the charts of a revision, whose
// objects have suffix at the end of their names.
func injectorFiles(sets []manifest.ManifestSet, suffix string) (map[string]string, error) {
	files := map[string]string{}
	pick := func(m manifest.Manifest, keys ...string) error {
		for _, key := range keys {
			value, found, err := unstructured.NestedString(m.Object, "data", key)
			if err == nil && !found {
				err = fmt.Errorf("ConfigMap %s has no key %s", m.GetName(), key)
			}
			if err != nil {
				return err
			}
			files[key] = value
		}
		return nil
	}
	for _, set := range sets {
		for _, m := range set.Manifests {
			var err error
			switch m.GetKind() + " " + m.GetName() {
			case "ConfigMap istio-sidecar-injector" + suffix:
				err = pick(m, configFile, valuesFile)
			case "ConfigMap istio" + suffix:
				err = pick(m, meshFile)
			case "MutatingWebhookConfiguration istio-sidecar-injector" + suffix:
				files[webhookFile] = m.Content
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if len(files) != 4 {
		return nil, fmt.Errorf("the charts hold %d of the injector's 4 documents", len(files))
	}
	return files, nil
}

func replaceFile(path, content string) error {
	if err := os.WriteFile(path+".tmp", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory that render wrote")
	address := flags.String("address", "127.0.0.1:15017", "address to serve HTTPS on")
	cert := flags.String("tls-cert", "", "serving certificate")
	key := flags.String("tls-key", "", "its private key")
	revision := flags.String("revision", "", "Istio's revision; empty is the default one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	watcher, err := newWatcher(*dir)
	if err != nil {
		return err
	}
	env, err := newEnvironment(*dir, ctx.Done())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	webhook, err := inject.NewWebhook(inject.WebhookParameters{
		Watcher:      watcher,
		Env:          env.Environment,
		Mux:          mux,
		Revision:     *revision,
		MultiCluster: multicluster.NewFakeController(),
	})
	if err != nil {
		return err
	}
	if err := reportLoaded(mux, watcher, env, webhook); err != nil {
		return err
	}
	webhook.Run(ctx.Done())

	server := &http.Server{Addr: *address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServeTLS(*cert, *key) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(drain)
	}
}

// reportLoaded serves the digest of the configuration that webhook injects
// with, so that who replaces the files knows when the new ones are in force.
func reportLoaded(mux *http.ServeMux, watcher inject.Watcher, env *environment, webhook *inject.Webhook) error {
	type template struct {
		config *inject.Config
		values string
	}
	var loaded atomic.Pointer[template]
	record := func(config *inject.Config, values string) error {
		loaded.Store(&template{config, values})
		return nil
	}
	config, values, err := watcher.Get()
	if err != nil {
		return err
	}
	if err := record(config, values); err != nil {
		return err
	}
	// Handlers run in the order in which they were added: the webhook's first.
	webhook.MultiCast.AddHandler(record)
	mux.HandleFunc("/loaded", func(w http.ResponseWriter, _ *http.Request) {
		t := loaded.Load()
		d, err := digest(t.config, t.values, webhook.GetConfig().MeshConfig, env.ProxyConfigs())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, d)
	})
	return nil
}
