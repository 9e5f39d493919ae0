package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// InstallManifests renders the kustomization in dir and applies it as it is,
// but for one thing: where a MutatingWebhookConfiguration refers to a Service,
// it gets the URL https://127.0.0.1:PORT with the same path, port being that of
// the program which plays the Service's Pods.
func (c *Cluster) InstallManifests(ctx context.Context, dir string, port int) error {
	if c.external {
		return fmt.Errorf("install %s: %w", dir, ErrExternal)
	}
	rendered, err := c.Kubectl(ctx, "", "kustomize", dir)
	if err != nil {
		return err
	}
	manifests, err := withWebhookURLs(rendered, port)
	if err != nil {
		return fmt.Errorf("read what kustomize rendered from %s: %w", dir, err)
	}
	return c.Apply(ctx, manifests)
}

// withWebhookURLs returns a stream of JSON objects.
func withWebhookURLs(manifests string, port int) (string, error) {
	var out strings.Builder
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return out.String(), nil
		}
		if err != nil {
			return "", err
		}
		if object.GetKind() == "MutatingWebhookConfiguration" {
			if err := replaceServices(object.Object, port); err != nil {
				return "", fmt.Errorf("MutatingWebhookConfiguration %s: %w", object.GetName(), err)
			}
		}
		if err := json.NewEncoder(&out).Encode(object.Object); err != nil {
			return "", err
		}
	}
}

func replaceServices(configuration map[string]any, port int) error {
	webhooks, _, err := unstructured.NestedSlice(configuration, "webhooks")
	if err != nil {
		return err
	}
	for _, webhook := range webhooks {
		client, found, err := unstructured.NestedMap(webhook.(map[string]any), "clientConfig")
		if err != nil {
			return err
		}
		service, ok := client["service"].(map[string]any)
		if !found || !ok {
			continue
		}
		path, _ := service["path"].(string)
		delete(client, "service")
		client["url"] = webhookURL(port, path)
		webhook.(map[string]any)["clientConfig"] = client
	}
	return unstructured.SetNestedSlice(configuration, webhooks, "webhooks")
}
