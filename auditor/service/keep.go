package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// keep puts data into a ConfigMap, which it makes where there is none.
func keep(ctx context.Context, objects corev1client.ConfigMapInterface, name string, data map[string][]byte) error {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/component": "auditor"}},
		BinaryData: data,
	}
	_, err := objects.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = objects.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

// unfold reads gzipped JSON of at most so many bytes and objects. Whoever may write the
// ConfigMap could have written anything, and a few bytes of JSON can become hundreds in
// memory.
func unfold(gzipped []byte, most, objects int, into any) error {
	r, err := gzip.NewReader(bytes.NewReader(gzipped))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case err != nil:
		return err
	case len(text) > most, bytes.Count(text, []byte("{")) > objects:
		return errors.New("it is larger than any that is kept")
	}
	return json.Unmarshal(text, into)
}
