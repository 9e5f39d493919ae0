package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

const (
	queryTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer, of which the first row matters.
	maxAnswer = 1 << 20
)

// rows asks a Prometheus and tells whether the query returns rows.
// https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
func rows(ctx context.Context, q config.PrometheusQuery) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	address := strings.TrimSuffix(q.URL, "/") + "/api/v1/query?query=" + url.QueryEscape(q.Query)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return false, err
	}
	if len(body) == maxAnswer {
		return true, nil // no error is as long
	}
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("%s: no answer of a Prometheus: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return false, fmt.Errorf("%s: status %q: %s", response.Status, answer.Status, answer.Error)
	}
	return len(answer.Data.Result) > 0, nil
}
