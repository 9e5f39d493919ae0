package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Compact has etcd forget the past: what the API server does not hold in its own
// memory, as after a restart, is then gone (410) for lists that are read page by
// page and for watches.
func (c *Cluster) Compact(ctx context.Context) error {
	if c.external {
		return fmt.Errorf("compact etcd: %w", ErrExternal)
	}
	var now struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := c.etcd(ctx, "range", map[string]any{"key": []byte{0}}, &now); err != nil {
		return err
	}
	return c.etcd(ctx, "compaction", map[string]any{"revision": now.Header.Revision, "physical": true}, &struct{}{})
}

// etcd calls etcd's KV service in its JSON form.
// https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
func (c *Cluster) etcd(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.etcdURL+"/v3/kv/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s: %s", method, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("etcd: %s: %w", method, err)
	}
	return nil
}
