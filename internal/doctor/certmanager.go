package doctor

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

// managedCertificates is what matters of cert-manager's Certificates.
type managedCertificates struct {
	Items []struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			SecretName string `json:"secretName"`
		} `json:"spec"`
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	} `json:"items"`
}

// certManager judges what cert-manager says of the Certificates that it keeps for us.
// An annotation alone renews nothing.
func (e *examiner) certManager(ctx context.Context) {
	if e.installed.configuration.err != nil || !byCertManager(e.installed.configuration.value) {
		return
	}
	path := "/apis/cert-manager.io/v1/namespaces/" + e.home() + "/certificates"
	text, err := e.objects.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
	var found managedCertificates
	if err == nil {
		if err = json.Unmarshal(text, &found); err != nil {
			err = fmt.Errorf("cert-manager's Certificates are not readable: %w", err)
		}
	}
	e.add(judgeCertManager(as(e, &found, err), e.installed.configuration.value.Annotations)...)
}

// judgeCertManager judges the Certificates of our namespace. Secrets that a Certificate
// is for are its business; what is injected is named by the annotations.
func judgeCertManager(found read[managedCertificates], annotations map[string]string) []Finding {
	t := topic{checkCertificate, "cert-manager"}
	const see = "kubectl -n " + namespace + " describe certificates.cert-manager.io"
	switch {
	case found.missing():
		return []Finding{t.wrong("install cert-manager again, or go back to our own controller: docs/certificates.md",
			"the webhook configuration says that cert-manager keeps it, and the cluster has no Certificates: nobody renews the stamper's certificate")}
	case found.err != nil:
		return []Finding{t.unread(found.err)}
	}
	var findings []Finding
	for _, c := range found.value.Items {
		t := topic{checkCertificate, "Certificate " + c.Name}
		ready, reason := false, "cert-manager has said nothing of it yet"
		for _, condition := range c.Status.Conditions {
			if condition.Type == "Ready" {
				ready, reason = condition.Status == metav1.ConditionTrue, condition.Message
			}
		}
		if !ready {
			findings = append(findings, t.wrong(see, "it is not ready: %s", reason))
			continue
		}
		findings = append(findings, t.ok("ready: %s", reason))
	}
	if len(findings) == 0 {
		findings = append(findings, t.wrong("apply manifests/overlays/cert-manager again",
			"the webhook configuration says that cert-manager keeps it (%s), and there is no Certificate in our namespace: nobody renews the stamper's certificate", certs.InjectedBy(annotations)))
	}
	return findings
}
