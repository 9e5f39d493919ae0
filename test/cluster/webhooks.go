package cluster

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RegisterWebhook creates or replaces a MutatingWebhookConfiguration. Each of its
// Service references becomes the URL https://127.0.0.1:PORT with the reference's
// path; ca is what the API server trusts there (PEM). API servers begin to call a
// new webhook within about a second.
func (c *Cluster) RegisterWebhook(ctx context.Context, config *admissionregistrationv1.MutatingWebhookConfiguration, port int, ca []byte) error {
	if c.external {
		return fmt.Errorf("register MutatingWebhookConfiguration %s: %w", config.Name, ErrExternal)
	}
	config = config.DeepCopy()
	for i := range config.Webhooks {
		client := &config.Webhooks[i].ClientConfig
		if client.Service != nil {
			path := ""
			if client.Service.Path != nil {
				path = *client.Service.Path
			}
			url := webhookURL(port, path)
			client.Service, client.URL = nil, &url
		}
		client.CABundle = ca
	}
	configurations := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	existing, err := configurations.Get(ctx, config.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = configurations.Create(ctx, config, metav1.CreateOptions{})
	case err == nil:
		config.ResourceVersion = existing.ResourceVersion
		_, err = configurations.Update(ctx, config, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("register MutatingWebhookConfiguration %s: %w", config.Name, err)
	}
	return nil
}

func webhookURL(port int, path string) string { return "https://" + loopback(port) + path }
