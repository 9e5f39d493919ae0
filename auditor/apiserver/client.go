// Package apiserver connects an audit with an API server: in raw JSON, at the pace that
// this bears, and with patience where it goes away.
package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
)

// Connect returns a client for raw JSON, with no limit of requests a second: the
// API server's priority and fairness sets the pace.
func Connect(cfg *rest.Config) (rest.Interface, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	cfg.ContentConfig = rest.ContentConfig{
		AcceptContentTypes:   "application/json",
		ContentType:          "application/json",
		GroupVersion:         &schema.GroupVersion{},
		NegotiatedSerializer: serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs},
	}
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Host, err)
	}
	return persistent{client}, nil
}

// ConnectPatiently returns a client that waits for an API server that goes away,
// and has the limiter decide when it sends dry runs, those that the API server had
// no time for included. If that does not come back, giveUp is told.
func ConnectPatiently(cfg *rest.Config, limiter *pace.Limiter, giveUp context.CancelCauseFunc) (rest.Interface, error) {
	impatient, err := Connect(cfg)
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return pace.Transport{Limiter: limiter, Paced: isDryRun, Next: next}
	})
	cfg.Wrap(newPatient(func(ctx context.Context) error {
		return impatient.Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error()
	}, giveUp).over)
	return Connect(cfg)
}

// isDryRun holds for what an audit has created, and for nothing that it asks else.
func isDryRun(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "dryRun=")
}

// retries is how often a request is sent again that the API server has no time
// for, which it asks for a second later: two minutes' worth. Where all workers are
// turned away at once, and come back at once, client-go's ten are soon used up.
const retries = 120

// persistent asks for as long as the API server says "later" (429 and Retry-After).
type persistent struct{ rest.Interface }

func (p persistent) Get() *rest.Request  { return p.Interface.Get().MaxRetries(retries) }
func (p persistent) Post() *rest.Request { return p.Interface.Post().MaxRetries(retries) }
