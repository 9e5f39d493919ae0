package chart

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/install"
)

// A GitOps tool that applies what the chart is rendered to finds nothing to change the
// next time, also after the certificate controller has written its bundle; nor does it
// have to force anything.
func TestGitOpsToolsFindNothingToChange(t *testing.T) {
	c := testCluster
	admin, err := client.New(c.RESTConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, manager := range []string{"argocd-controller", "kustomize-controller", "helm-controller"} {
		t.Run(manager, func(t *testing.T) {
			var objects []*unstructured.Unstructured
			apply := func(ctx context.Context) (map[string]string, error) {
				versions := map[string]string{}
				for _, object := range objects {
					applied := object.DeepCopy()
					if err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(manager)); err != nil {
						return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
					}
					// A status is written by others: where there is a generation, that is of
					// the rest.
					version := applied.GetResourceVersion()
					if generation := applied.GetGeneration(); generation > 0 {
						version = fmt.Sprint("generation ", generation)
					}
					versions[object.GetKind()+" "+object.GetName()] = version
				}
				return versions, nil
			}
			t.Cleanup(func() {
				for _, object := range objects {
					if err := admin.Delete(context.Background(), object.DeepCopy()); err != nil && !apierrors.IsNotFound(err) {
						t.Error(err)
					}
				}
				_, _ = c.Kubectl(context.Background(), "", "delete", "namespace", namespace, "--ignore-not-found")
			})
			product, err := install.StartWith(t.Context(), c, install.Options{Replicas: 1, Manifests: func(ctx context.Context, port int) error {
				files, err := Render(ctx, atPort(t, port, "0.1.0"), "namespace.create=true", "rollout.enabled=true", "fairness.enabled=true", "people.enabled=true",
					"authorization.enabled=true", "controllerIdentity.enabled=true", "policyReports.enabled=true")
				if err != nil {
					return err
				}
				for _, file := range files {
					decoded, err := Objects(strings.Join(file.Documents, "---\n"))
					if err != nil {
						return err
					}
					for _, object := range decoded {
						if object.GetKind() == "Namespace" {
							objects = append([]*unstructured.Unstructured{object}, objects...)
							continue
						}
						objects = append(objects, object)
					}
				}
				_, err = apply(ctx)
				return err
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = product.Stop() })
			before, err := apply(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(before) < 30 {
				t.Fatalf("only %d objects: %v", len(before), before)
			}
			if err := cluster.Poll(t.Context(), "the bundle", func(context.Context) error {
				if certificates(t)["caBundle"] == "" {
					return fmt.Errorf("not there")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			after, err := apply(t.Context())
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
