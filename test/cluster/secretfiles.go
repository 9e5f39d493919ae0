package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dataLink is the symbolic link through which all files of a mounted Secret are
// replaced at once; each file is itself a link to dataLink/KEY.
const dataLink = "..data"

// WriteSecretFiles writes a Secret's data into dir, a file a key, as the kubelet
// mounts it: readers see either all of the old data or all of the new. Calling it
// again is what a change of the Secret would be to a Pod.
func (c *Cluster) WriteSecretFiles(ctx context.Context, namespace, name, dir string) error {
	secret, err := c.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get Secret %s/%s: %w", namespace, name, err)
	}
	if err := writeVolume(dir, secret.Data); err != nil {
		return fmt.Errorf("write the files of Secret %s/%s: %w", namespace, name, err)
	}
	return nil
}

func writeVolume(dir string, data map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	version, err := os.MkdirTemp(dir, "..version-")
	if err != nil {
		return err
	}
	for key, value := range data {
		if err := os.WriteFile(filepath.Join(version, key), value, 0o600); err != nil {
			return err
		}
	}
	current := filepath.Join(dir, dataLink)
	previous, _ := os.Readlink(current) // none the first time
	next := current + "_tmp"
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		return err
	}
	if err := os.Rename(next, current); err != nil {
		return err
	}
	if err := linkKeys(dir, data); err != nil {
		return err
	}
	if previous != "" {
		return os.RemoveAll(filepath.Join(dir, previous))
	}
	return nil
}

// linkKeys makes dir hold a link for each key of data and for no other.
func linkKeys(dir string, data map[string][]byte) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	linked := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type() != os.ModeSymlink || name == dataLink {
			continue
		}
		linked[name] = true
		if _, ok := data[name]; !ok {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for key := range data {
		if linked[key] {
			continue
		}
		if err := os.Symlink(filepath.Join(dataLink, key), filepath.Join(dir, key)); err != nil {
			return err
		}
	}
	return nil
}
