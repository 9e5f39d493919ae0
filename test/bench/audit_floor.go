package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/pace"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// requests are what an audit asks the API server.
type requests struct {
	mu     sync.Mutex
	lists  []string // their first pages
	path   string   // of the dry runs
	bodies [][]byte
}

// recordAudit makes an audit and keeps what it asked.
func recordAudit(ctx context.Context, config *rest.Config, want verdict.State) (*requests, error) {
	asked := &requests{}
	recorded := rest.CopyConfig(config)
	recorded.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method != http.MethodPost {
				asked.list(request.URL)
				return next.RoundTrip(request)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return nil, err
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
			response, err := next.RoundTrip(request)
			if err == nil && response.StatusCode == http.StatusCreated && strings.HasSuffix(request.URL.Path, "/pods") {
				asked.dryRan(request.URL, body)
			}
			return response, err
		})
	})
	if err := auditOnce(ctx, recorded, want); err != nil {
		return nil, err
	}
	if len(asked.bodies) < auditWorkloads || len(asked.lists) < 2 {
		return nil, fmt.Errorf("the audit made %d dry runs for %d revisions, and read %d lists", len(asked.bodies), auditWorkloads, len(asked.lists))
	}
	return asked, nil
}

// autoscalers are neither Pods nor workloads, and may not exist.
var autoscalers = []string{"/apis/autoscaling.k8s.io/", "/apis/datadoghq.com/"}

// list takes down the first page of a list.
func (a *requests) list(of *url.URL) {
	a.mu.Lock()
	defer a.mu.Unlock()
	query, ofAutoscalers := of.Query(), func(group string) bool { return strings.Contains(of.Path, group) }
	if query.Has("limit") && !query.Has("continue") && !slices.ContainsFunc(autoscalers, ofAutoscalers) {
		a.lists = append(a.lists, of.RequestURI())
	}
}

// dryRan takes down a dry run that made a Pod. Others tell what the identity may ask.
func (a *requests) dryRan(of *url.URL, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.path, a.bodies = of.RequestURI(), append(a.bodies, body)
}

// minimalClient sends requests and throws the answers away.
type minimalClient struct {
	http *http.Client
	host string
}

// newMinimalClient returns a client whose dry runs the limiter paces; nil leaves
// them alone.
func newMinimalClient(config *rest.Config, limiter *pace.Limiter) (*minimalClient, error) {
	config = rest.CopyConfig(config)
	if limiter != nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return pace.Transport{
				Limiter: limiter, Next: next,
				Paced: func(r *http.Request) bool { return r.Method == http.MethodPost },
			}
		})
	}
	client, err := rest.HTTPClientFor(config)
	return &minimalClient{client, config.Host}, err
}

// send returns an error unless the answer has the status; read is given the body.
func (c *minimalClient) send(ctx context.Context, method, path string, body []byte, status int, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, c.host+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("%s %s is answered with %s", method, path, response.Status)
	}
	return read(response.Body)
}

func discard(body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

// create makes one dry run.
func (c *minimalClient) create(ctx context.Context, path string, body []byte) error {
	return c.send(ctx, http.MethodPost, path, body, http.StatusCreated, discard)
}

// readLists reads all pages of the lists.
func (a *requests) readLists(ctx context.Context, client *minimalClient) error {
	for _, first := range a.lists {
		for page := first; page != ""; {
			err := client.send(ctx, http.MethodGet, page, nil, http.StatusOK, func(body io.Reader) (err error) {
				page, err = nextPage(first, body)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// nextPage reads a page of a list and returns where the next one is; "" for
// nowhere. The API server writes metadata first.
func nextPage(first string, body io.Reader) (string, error) {
	begin := make([]byte, 4<<10)
	n, err := io.ReadFull(body, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	if err := discard(body); err != nil {
		return "", err
	}
	_, metadata, found := bytes.Cut(begin[:n], []byte(`"metadata":`))
	if !found {
		return "", fmt.Errorf("GET %s: the answer is no list", first)
	}
	var list struct {
		Continue string `json:"continue"`
	}
	if err := json.NewDecoder(bytes.NewReader(metadata)).Decode(&list); err != nil {
		return "", fmt.Errorf("GET %s: %w", first, err)
	}
	if list.Continue == "" {
		return "", nil
	}
	return first + "&continue=" + url.QueryEscape(list.Continue), nil
}

// dryRun makes the dry runs, so many at a time.
func (a *requests) dryRun(ctx context.Context, client *minimalClient, concurrency int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, body := range a.bodies {
		group.Go(func() error { return client.create(ctx, a.path, body) })
	}
	return group.Wait()
}
