package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

const withCertManager = "../../manifests/overlays/cert-manager"

// The whole overlay passes a dry run, and cert-manager's kinds, by their real
// definitions, keep every field of our objects.
func TestCertManagerOverlayIsTaken(t *testing.T) {
	c := fenced(t)
	installCertManagerKinds(t, c)
	admin := asAdmin(t, c)
	created := 0
	for _, object := range render(t, c, withCertManager) {
		t.Run(object.GetKind()+"/"+object.GetName(), func(t *testing.T) {
			if object.GetKind() == "MutatingWebhookConfiguration" {
				object.SetName("dry-run") // the installed one has a url
			}
			checkDryRun(t, c, object)
			if object.GroupVersionKind().Group != certmanagerv1.SchemeGroupVersion.Group {
				return
			}
			stored := object.DeepCopy()
			create(t, client.WithFieldValidation(admin, metav1.FieldValidationStrict), stored)
			created++
			if diff := cmp.Diff(object.Object["spec"], stored.Object["spec"]); diff != "" {
				t.Errorf("the spec comes back changed (-sent +stored):\n%s", diff)
			}
		})
	}
	if created != 4 {
		t.Errorf("%d objects of cert-manager, want 2 Issuers and 2 Certificates", created)
	}
}

// installCertManagerKinds takes the definitions from the very module that our
// objects are made with.
func installCertManagerKinds(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"certificates", "issuers"} {
		definition, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		installDefinition(t, c, kind+".cert-manager.io", definition)
	}
}

// Nobody of ours is left who could write the webhook configuration.
func TestCertManagerOverlayLeavesOurControllerOut(t *testing.T) {
	rendered := render(t, testCluster(t), withCertManager)
	standard := render(t, testCluster(t), base)
	const name = "sidecar-drift-certs"
	var got, want []string
	for _, object := range standard {
		if object.GetName() != name {
			want = append(want, object.GetKind()+"/"+object.GetName())
		}
	}
	for _, object := range rendered {
		checkPlace(t, object)
		if text, err := object.MarshalJSON(); err != nil || strings.Contains(string(text), name) {
			t.Errorf("%s %s speaks of %s (error %v)", object.GetKind(), object.GetName(), name, err)
		}
		if writesWebhooks(t, object) {
			t.Errorf("%s %s may write webhook configurations", object.GetKind(), object.GetName())
		}
		if object.GroupVersionKind().Group != certmanagerv1.SchemeGroupVersion.Group {
			got = append(got, object.GetKind()+"/"+object.GetName())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects, beside cert-manager's (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(standard, func(object *unstructured.Unstructured) bool { return writesWebhooks(t, object) }) {
		t.Error("the default installation may not write webhook configurations either: the check sees nothing")
	}
}

func writesWebhooks(t *testing.T, object *unstructured.Unstructured) bool {
	t.Helper()
	if !strings.HasSuffix(object.GetKind(), "Role") {
		return false
	}
	role := &rbacv1.ClusterRole{}
	convert(t, object, role)
	return slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Resources, "mutatingwebhookconfigurations") &&
			slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) })
	})
}

// What is injected, issued and mounted is one thing under one name.
func TestCertManagerOverlayFitsTogether(t *testing.T) {
	issuers, certificates := map[string]*certmanagerv1.Issuer{}, map[string]*certmanagerv1.Certificate{}
	var injected, mounted, host string
	for _, object := range render(t, testCluster(t), withCertManager) {
		switch object.GetKind() {
		case certmanagerv1.IssuerKind:
			issuer := &certmanagerv1.Issuer{}
			convert(t, object, issuer)
			issuers[issuer.Name] = issuer
		case certmanagerv1.CertificateKind:
			certificate := &certmanagerv1.Certificate{}
			convert(t, object, certificate)
			certificates[certificate.Namespace+"/"+certificate.Name] = certificate
		case "MutatingWebhookConfiguration":
			injected = object.GetAnnotations()[certmanagerv1.WantInjectAnnotation]
			configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
			convert(t, object, configuration)
			service := configuration.Webhooks[0].ClientConfig.Service
			host = service.Name + "." + service.Namespace + ".svc"
		case "Deployment":
			if object.GetName() == "sidecar-drift-webhook" {
				deployment := &appsv1.Deployment{}
				convert(t, object, deployment)
				mounted = deployment.Spec.Template.Spec.Volumes[0].Secret.SecretName
			}
		}
	}
	serving := certificates[injected]
	if serving == nil {
		t.Fatalf("the CA is injected from %q, which is none of %v", injected, certificates)
	}
	if serving.Spec.SecretName != mounted {
		t.Errorf("the stamper mounts the Secret %q, and the certificate is in %q", mounted, serving.Spec.SecretName)
	}
	if !slices.Contains(serving.Spec.DNSNames, host) {
		t.Errorf("API servers call %s, and the certificate is for %v", host, serving.Spec.DNSNames)
	}
	issuer := issuers[serving.Spec.IssuerRef.Name]
	if issuer == nil || issuer.Spec.CA == nil {
		t.Fatalf("the issuer of the serving certificate is %+v, want one with a CA", issuer)
	}
	authority := certificates[installation+"/"+issuer.Spec.CA.SecretName]
	if authority == nil || !authority.Spec.IsCA {
		t.Fatalf("the CA of the issuer is %+v, want a Certificate that is a CA", authority)
	}
	if root := issuers[authority.Spec.IssuerRef.Name]; root == nil || root.Spec.SelfSigned == nil {
		t.Errorf("the issuer of the CA is %+v, want a self-signed one", root)
	}
	if got := serving.Spec.PrivateKey.RotationPolicy; got != certmanagerv1.RotationPolicyAlways {
		t.Errorf("the serving key's rotation policy is %s", got)
	}
	if got := authority.Spec.PrivateKey.RotationPolicy; got != certmanagerv1.RotationPolicyNever {
		t.Errorf("the CA key's rotation policy is %s: a renewal would break what it issued before", got)
	}
}

func convert(t *testing.T, object *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into); err != nil {
		t.Fatal(err)
	}
}
