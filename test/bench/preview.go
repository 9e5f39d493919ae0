package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// previewBench measures a preview of injected workloads, each a revision of its own, beside an
// audit of them, in turns: with every workload in sync and, after a change of Istio's
// template, with every one drifted. The candidate is another Istio with the same values, so
// that both find the same. The floor is an audit and what the two injectors take to answer
// once more about each workload, and nothing else.
func previewBench(ctx context.Context, out io.Writer) error {
	return onCluster(ctx, auditWorkloads, func(c *cluster.Cluster, present *istio.Injector) error {
		config, err := c.ServiceAccountConfig(ctx, install.Namespace, install.AuditorAccount)
		if err != nil {
			return err
		}
		next, err := istio.Start(ctx, c, istio.Options{Set: istio.Values("1.27.0", "100m"), Unregistered: true})
		if err != nil {
			return err
		}
		both := []*istio.Injector{present, next}
		if err := comparePreview(ctx, out, config, both, "preview", verdict.InSync); err != nil {
			return err
		}
		changed := istio.Values("1.28.0", "150m")
		for _, injector := range both {
			if err := injector.Update(ctx, changed...); err != nil {
				return err
			}
		}
		return comparePreview(ctx, out, config, both, "preview-drifted", verdict.Drifted)
	})
}

func comparePreview(ctx context.Context, out io.Writer, config *rest.Config, both []*istio.Injector, name string, want verdict.State) error {
	asked, err := recordAudit(ctx, config, want)
	if err != nil {
		return err
	}
	var ratios, floors, previews, audits []float64
	for round := range auditRounds + 1 {
		theirs, err := seconds(func() error { return auditOnce(ctx, config, want) })
		if err != nil {
			return err
		}
		answers, err := seconds(func() error { return askBoth(ctx, both, asked.bodies[:auditWorkloads]) })
		if err != nil {
			return err
		}
		ours, err := seconds(func() error { return previewOnce(ctx, config, both[1], want) })
		if err != nil {
			return err
		}
		if round > 0 { // the first warms caches
			ratios, floors = append(ratios, ours/theirs), append(floors, (theirs+answers)/theirs)
			previews, audits = append(previews, ours), append(audits, theirs)
		}
	}
	fmt.Fprintf(out, "preview of %d %s workloads %.2f s, an audit of them %.2f s (medians of %d rounds, at most %d at a time); a round's ratio: %.2f to %.2f; with two more answers of the injectors and nothing else: %.2f\n",
		auditWorkloads, want, median(previews), median(audits), auditRounds, auditConcurrency, slices.Min(ratios), slices.Max(ratios), median(floors))
	figure(out, name, fmt.Sprintf("%.2f", median(ratios)), "x", "<= 2.2")
	return nil
}

// askBoth asks each injector about each Pod, as a preview does and as many at a time.
func askBoth(ctx context.Context, injectors []*istio.Injector, pods [][]byte) error {
	var clients []*http.Client
	for _, injector := range injectors {
		ca, err := os.ReadFile(injector.CAFile())
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		clients = append(clients, &http.Client{Transport: transport})
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(auditConcurrency)
	for i, injector := range injectors {
		for n, pod := range pods {
			all.Go(func() error {
				review, err := reviewOf(n, pod)
				if err != nil {
					return err
				}
				return sendReview(ctx, clients[i], injector.URL(), review)
			})
		}
	}
	return all.Wait()
}

// reviewOf is the question about the creation of a Pod.
func reviewOf(n int, pod []byte) ([]byte, error) {
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(fmt.Sprint(n)), Namespace: benchNamespace, Operation: admissionv1.Create,
			Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object: runtime.RawExtension{Raw: pod},
		},
	})
}

// previewOnce previews all workloads and finds that each could be, and is in the state.
func previewOnce(ctx context.Context, config *rest.Config, next *istio.Injector, want verdict.State) error {
	at, err := url.Parse(next.URL())
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(next.CAFile())
	if err != nil {
		return err
	}
	candidates, err := candidate.Connect(ctx, config, candidate.Options{
		Candidates: []candidate.Place{{Webhook: "istio-sidecar-injector", Where: candidate.Where{URL: at}}}, CA: ca, Concurrency: auditConcurrency,
	})
	if err != nil {
		return err
	}
	defer candidates.Close()
	found, err := audit.Run(ctx, config, audit.Options{
		Selection: inventory.Selection{Namespace: benchNamespace}, Concurrency: auditConcurrency, Candidate: candidates, Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	if n := found.Summary.Workloads[want]; n != auditWorkloads || found.Preview.Previewed != auditWorkloads {
		return fmt.Errorf("%v, %d previewed, want %d %s", found.Summary.Workloads, found.Preview.Previewed, auditWorkloads, want)
	}
	return nil
}
