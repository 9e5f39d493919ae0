package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// A GitOps tool that applies what the chart is rendered to finds nothing to change the
// next time, though the certificate controller has written its bundle, and needs no force
// for that.
func TestGitOpsToolsFindNothingToChange(t *testing.T) {
	c := testCluster
	admin, err := client.New(c.RESTConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	t.Cleanup(func() {
		for _, object := range objects {
			if err := admin.Delete(context.Background(), object.DeepCopy()); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		}
		waitGone(t, namespace)
	})
	product, err := install.StartWith(t.Context(), c, install.Options{Replicas: 1, Manifests: func(ctx context.Context, port int) error {
		_, values := together(components...)
		values = slices.DeleteFunc(values, func(v string) bool { return strings.Contains(v, "certManager") || strings.HasPrefix(v, "monitoring") })
		files, err := Render(ctx, atPort(t, port, "0.1.0"), append(values, "namespace.create=true")...)
		if err != nil {
			return err
		}
		for _, file := range files {
			decoded, err := cluster.Objects(strings.Join(file.Documents, "---\n"))
			if err != nil {
				return err
			}
			objects = append(objects, decoded...)
		}
		first := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Namespace" })
		objects[0], objects[first] = objects[first], objects[0]
		_, err = applyAll(ctx, admin, objects, "kubectl")
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = product.Stop() })
	if certificates(t)["caBundle"] == "" {
		t.Fatal("the certificate controller has not written its bundle")
	}
	for _, manager := range []string{"argocd-controller", "kustomize-controller", "helm-controller"} {
		t.Run(manager, func(t *testing.T) {
			before, err := applyAll(t.Context(), admin, objects, manager, client.ForceOwnership) // it takes over
			if err != nil {
				t.Fatal(err)
			}
			if len(before) < 40 {
				t.Fatalf("only %d objects: %v", len(before), before)
			}
			after, err := applyAll(t.Context(), admin, objects, manager)
			if err != nil {
				t.Fatal(err)
			}
			for name, version := range before {
				if after[name] != version {
					t.Errorf("%s is changed by applying it again (%s, then %s)", name, version, after[name])
				}
			}
		})
	}
}

// applyAll applies objects as a manager and returns what would change
// with each if it were changed: others write a status, so that is the generation of
// what has one.
func applyAll(ctx context.Context, admin client.Client, objects []*unstructured.Unstructured, manager string, force ...client.ApplyOption) (map[string]string, error) {
	versions := map[string]string{}
	for _, object := range objects {
		applied := object.DeepCopy()
		if err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), append(force, client.FieldOwner(manager))...); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		version := applied.GetResourceVersion()
		if generation := applied.GetGeneration(); generation > 0 {
			version = fmt.Sprint("generation ", generation)
		}
		versions[object.GetKind()+" "+object.GetName()] = version
	}
	return versions, nil
}

// waitGone deletes a namespace, and waits until it is gone.
func waitGone(t *testing.T, name string) {
	t.Helper()
	if _, err := testCluster.Kubectl(context.Background(), "", "delete", "namespace", name, "--ignore-not-found"); err != nil {
		t.Error(err)
	}
}
