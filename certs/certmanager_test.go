package certs_test

import (
	"bytes"
	"os"
	"testing"

	v1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

// In its place cert-manager makes the same two Secrets, with the same names, hosts and
// lifetimes, as two Certificates.
func TestCertManagerMakesTheSame(t *testing.T) {
	options := certs.DefaultOptions()
	const selfSigned = "sidecar-drift-selfsigned"

	// It keeps its key when it is renewed: what it issued before verifies against its
	// new certificate, and what it issues then against the old one. So its renewal
	// needs no order.
	authority := certificate(options, options.AuthoritySecret, selfSigned, v1.RotationPolicyNever)
	authority.Spec.IsCA = true
	authority.Spec.CommonName = options.AuthoritySecret
	authority.Spec.Duration = &metav1.Duration{Duration: certs.AuthorityLifetime}
	authority.Spec.RenewBefore = &metav1.Duration{Duration: 2 * certs.ServingLifetime}
	authority.Spec.Usages = []v1.KeyUsage{v1.UsageCertSign, v1.UsageCRLSign}

	// It is renewed at two thirds of its life, with another key.
	serving := certificate(options, options.ServingSecret, options.AuthoritySecret, v1.RotationPolicyAlways)
	serving.Spec.DNSNames = options.Hosts
	serving.Spec.Duration = &metav1.Duration{Duration: certs.ServingLifetime}
	serving.Spec.RenewBefore = &metav1.Duration{Duration: certs.ServingLifetime / 3}
	serving.Spec.Usages = []v1.KeyUsage{v1.UsageDigitalSignature, v1.UsageServerAuth}

	want := map[string]runtime.Object{
		"Issuer/" + selfSigned:                 issuer(options, selfSigned, v1.IssuerConfig{SelfSigned: &v1.SelfSignedIssuer{}}),
		"Certificate/" + authority.Name:        authority,
		"Issuer/" + options.AuthoritySecret:    issuer(options, options.AuthoritySecret, v1.IssuerConfig{CA: &v1.CAIssuer{SecretName: options.AuthoritySecret}}),
		"Certificate/" + options.ServingSecret: serving,
	}
	text, err := os.ReadFile("../manifests/components/cert-manager/certificates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]runtime.Object{}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		var object runtime.Object = &v1.Certificate{}
		if kind.Kind == v1.IssuerKind {
			object = &v1.Issuer{}
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Fatal(err)
		}
		got[kind.Kind+"/"+kind.Name] = object
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the objects of the component (-want +got):\n%s", diff)
	}
}

func issuer(options certs.Options, name string, config v1.IssuerConfig) *v1.Issuer {
	return &v1.Issuer{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: v1.IssuerKind},
		ObjectMeta: objectMeta(options, name),
		Spec:       v1.IssuerSpec{IssuerConfig: config},
	}
}

// certificate has the name of the Secret that it is kept in.
func certificate(options certs.Options, name, issuer string, rotation v1.PrivateKeyRotationPolicy) *v1.Certificate {
	return &v1.Certificate{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: v1.CertificateKind},
		ObjectMeta: objectMeta(options, name),
		Spec: v1.CertificateSpec{
			SecretName: name,
			IssuerRef:  cmmeta.IssuerReference{Group: v1.SchemeGroupVersion.Group, Kind: v1.IssuerKind, Name: issuer},
			PrivateKey: &v1.CertificatePrivateKey{Algorithm: v1.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: rotation},
		},
	}
}

func objectMeta(options certs.Options, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: options.Namespace, Name: name,
		Labels: map[string]string{
			"app.kubernetes.io/name":      "sidecar-drift",
			"app.kubernetes.io/part-of":   "sidecar-drift",
			"app.kubernetes.io/component": "certificates",
		},
	}
}
