package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// shop is a namespace with an injector, and a Deployment that it has injected.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {test-injectors: "yes", team: storefront}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, team: payments}}
    spec: {containers: [{name: app, image: "app:1"}]}
`

func addsProxy(image string) injector.Answer {
	return func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: image})}
	}
}

func kubectl(t *testing.T, c *cluster.Cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// startShop runs a cluster with shop in it, and returns its injector.
func startShop(t *testing.T) (*cluster.Cluster, *injector.Injector) {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	running, err := injector.Start(t.Context(), c, injector.Options{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	running.Inject(addsProxy("proxy:1"))
	namespace, deployments, _ := strings.Cut(shop, "---")
	kubectl(t, c, namespace, "apply", "-f", "-")
	err = cluster.Poll(t.Context(), "the injector", func(ctx context.Context) error {
		names, err := c.Kubectl(ctx, "", "-n", "shop", "run", "probe", "--image", "app:1", "--dry-run=server", "-o", "jsonpath={.spec.containers[*].name}")
		if err == nil && !strings.Contains(names, "proxy") {
			err = fmt.Errorf("a Pod has the containers %s", names)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, deployments, "apply", "-f", "-")
	for _, name := range []string{"web", "cart"} {
		kubectl(t, c, "", "-n", "shop", "rollout", "status", "deployment/"+name, "--timeout", "2m")
	}
	return c, running
}

// startDaemon runs "serve" and returns the address of its page once an audit has
// ended.
func startDaemon(t *testing.T, c *cluster.Cluster) (url string) {
	t.Helper()
	programs, err := install.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	daemon, err := c.Run("sidecar-drift-serve", programs.CLI, []string{
		"serve", "--kubeconfig", c.Kubeconfig(), "--namespace", "default", "--include-namespace", "shop", "--interval", "5s", "--label-columns", "team",
		"--page-bind-address", address, "--metrics-bind-address", "0", "--health-probe-bind-address", "0",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + address + "/"
	err = cluster.Poll(t.Context(), "the page", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	}, daemon)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

var promise = regexp.MustCompile(`^A change that several workloads share is seen within \d+ s \(\d+ features?\); every workload was asked about within \d+ s\.$`)

// The real daemon's page, of a real cluster: it follows what the injector does
// while somebody looks at it.
func TestTheDaemonsPageFollowsTheCluster(t *testing.T) {
	c, running := startShop(t)
	url := startDaemon(t, c)
	b := open(t, url, screen{})
	b.until(`document.getElementById('status').className === 'live'`)
	if got := eval[string](b, `document.getElementById('percent').textContent + ' ' + document.getElementById('namespace-bars').innerText`); !strings.HasPrefix(got, "0.0 % ") || !strings.Contains(got, "shop") {
		t.Errorf("the page says %q", got)
	}
	if uid := kubectl(t, c, "", "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"); uid == "" || eval[string](b, `document.title`) != "Sidecar drift: "+uid {
		t.Errorf("the page is called %q, want by the UID %s of kube-system", eval[string](b, `document.title`), uid)
	}
	if got := eval[string](b, `document.getElementById('server').innerText`); got != c.RESTConfig().Host {
		t.Errorf("of the API server it says %q, want %q", got, c.RESTConfig().Host)
	}
	if got := b.names(); got != "cart web" {
		t.Errorf("the table holds %s", got)
	}
	if got := eval[string](b, `document.getElementById('detection').innerText`); !promise.MatchString(got) {
		t.Errorf("it promises %q", got)
	}
	// The template's label goes before the namespace's.
	for team, want := range map[string]string{"payments": "cart", "storefront": "web"} {
		eval[bool](b, fmt.Sprintf(`((choice) => { choice.value = '["team","%s"]'; return choice.dispatchEvent(new Event('change')); })(document.getElementById('by-label'))`, team))
		b.until(fmt.Sprintf(`decodeURIComponent(location.hash) === '#?label=team=%s'`, team))
		if got := b.names(); got != want {
			t.Errorf("team %s has %s, want %s", team, got, want)
		}
	}
	b.click("#clear")
	b.until(`location.hash === ''`)

	// What changes is seen without a restart: the namespace is another team's.
	kubectl(t, c, "", "label", "--overwrite", "namespace", "shop", "team=warehouse")
	b.until(`[...document.querySelectorAll('#by-label option')].some((o) => o.textContent.includes('warehouse'))`)

	b.slash()
	b.press("shop web")
	eval[bool](b, `window.notReloaded = true`)

	running.Inject(addsProxy("proxy:2"))
	b.until(`document.getElementById('percent').textContent === '100.0 %'`)
	const row = `document.querySelector('tr.row').innerText`
	if got := eval[string](b, row); !strings.Contains(got, "Drifted") || !strings.Contains(got, "image 1 → 2") {
		t.Errorf("the row says %q", got)
	}
	if got := eval[string](b, `[window.notReloaded, document.getElementById('search').value, document.activeElement.id].join()`); got != "true,shop web,search" {
		t.Errorf("not reloaded, search and focus: %s", got)
	}
	if got := b.names(); got != "web" {
		t.Errorf("the search finds %s", got)
	}
	b.click(`button.open[data-key="shop/Deployment/web"]`)
	b.until(`document.querySelector('.detail') !== null`)
	for name, on := range map[string]screen{"daemon-1280": {width: 1280}, "daemon-390": {width: 390}} {
		b.show(on)
		if wide := eval[int](b, `document.documentElement.scrollWidth`); int64(wide) > on.width {
			t.Errorf("%s: the page is %d px wide and scrolls sideways", name, wide)
		}
		b.shoot(name)
	}
	if asked := slices.Compact(slices.Sorted(slices.Values(b.requests()))); !slices.Equal(asked, []string{url, url + "report.json"}) {
		t.Errorf("asked for %q, want the page and its data", asked)
	}
}
