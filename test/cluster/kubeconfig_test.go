package cluster_test

import (
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"
)

// Tests that run beside each other ask for the same account's kubeconfig while programs
// of others read it.
func TestServiceAccountKubeconfigIsNeverIncomplete(t *testing.T) {
	path, err := shared.ServiceAccountKubeconfig(t.Context(), "default", "default")
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	written := make(chan struct{})
	group.Go(func() error {
		defer close(written)
		for range 50 {
			if _, err := shared.ServiceAccountKubeconfig(t.Context(), "default", "default"); err != nil {
				return err
			}
		}
		return nil
	})
	for reading := true; reading; {
		select {
		case <-written:
			reading = false
		default:
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.RESTConfigFromKubeConfig(text)
		if err != nil || config.BearerToken == "" {
			t.Fatalf("it holds %q (%v)", text, err)
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}
