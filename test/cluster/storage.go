package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that kwok's volume stages know.
const (
	storageClass       = "kwok-volume"
	storageProvisioner = "kwok.x-k8s.io/volume"
)

// addStorageClass makes kwok's volumes the default, so that StatefulSets with
// claims become ready.
func (c *Cluster) addStorageClass(ctx context.Context) error {
	reclaim := corev1.PersistentVolumeReclaimDelete
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        storageClass,
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner:   storageProvisioner,
		ReclaimPolicy: &reclaim,
	}
	if _, err := c.client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create StorageClass %s: %w", storageClass, err)
	}
	return nil
}
