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
			if err := asked.record(request); err != nil {
				return nil, err
			}
			return next.RoundTrip(request)
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
const autoscalers = "/apis/autoscaling.k8s.io/"

func (a *requests) record(request *http.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if request.Method == http.MethodPost {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		a.path = request.URL.RequestURI()
		a.bodies = append(a.bodies, body)
		return nil
	}
	if query := request.URL.Query(); query.Has("limit") && !query.Has("continue") && !strings.Contains(request.URL.Path, autoscalers) {
		a.lists = append(a.lists, request.URL.RequestURI())
	}
	return nil
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

// list reads all pages of the lists.
func (a *requests) list(ctx context.Context, client *minimalClient) error {
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
