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

// Objects decodes manifests, document by document.
func Objects(manifests string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		switch {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

// withWebhookURLs returns a stream of JSON objects.
func withWebhookURLs(manifests string, port int) (string, error) {
	objects, err := Objects(manifests)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, object := range objects {
		if object.GetKind() == "MutatingWebhookConfiguration" {
			if err := replaceServices(object.Object, port); err != nil {
				return "", fmt.Errorf("MutatingWebhookConfiguration %s: %w", object.GetName(), err)
			}
		}
		if err := json.NewEncoder(&out).Encode(object.Object); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// Define applies the definition of a kind, and returns when its resource, as
// issuers.cert-manager.io, is served.
func (c *Cluster) Define(ctx context.Context, resource, definition string) error {
	if err := c.Apply(ctx, definition); err != nil {
		return err
	}
	return Poll(ctx, "the resource "+resource, func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "", "get", resource, "-A") // kubectl wait fails on a definition that has no conditions yet
		return err
	})
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
