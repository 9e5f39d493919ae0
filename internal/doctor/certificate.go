package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubectl/pkg/util"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

// reachTimeout bounds an attempt to reach one replica and to shake hands.
const reachTimeout = 10 * time.Second

// endpoint is a place that serves the stamper's certificate.
type endpoint struct {
	name string
	dial func(context.Context) (net.Conn, error)
}

// certificates shakes hands, as an API server does, with each replica that can
// be reached.
func (e *examiner) certificates(ctx context.Context) {
	t := topic{checkCertificate, configurationName}
	if e.installed.configuration.err != nil {
		e.add(t.notChecked("", "there is no webhook configuration to read the caBundle from"))
		return
	}
	w := stampWebhook(e.installed.configuration.value)
	if w == nil {
		e.add(t.notChecked("", "there is no webhook %s to read the caBundle from", webhookName))
		return
	}
	renewer := renewerOf(e.installed.configuration.value)
	roots, problem := trusted(t, w.ClientConfig.CABundle, renewer)
	if problem != nil {
		e.add(*problem)
		return
	}
	endpoints, unreachable := e.endpoints(w.ClientConfig)
	e.add(unreachable...)
	var served []*x509.Certificate
	for _, endpoint := range endpoints {
		finding, certificate := e.certificate(ctx, endpoint, roots, serverName(w.ClientConfig), renewer)
		e.add(finding)
		if certificate != nil {
			served = append(served, certificate)
		}
	}
	if len(served) > 0 && len(served) == len(endpoints) && len(unreachable) == 0 {
		e.add(judgeAuthorities(t, w.ClientConfig.CABundle, served, byCertManager(e.installed.configuration.value))...)
	}
}

// judgeAuthorities says of which authorities in a caBundle no replica serves a
// certificate: who has the key of one of those can speak for the stamper.
func judgeAuthorities(t topic, bundle []byte, served []*x509.Certificate, certManager bool) []Finding {
	authorities, err := certutil.ParseCertsPEM(bundle)
	if err != nil {
		return nil // trusted has said so
	}
	unused := 0
	for _, authority := range authorities {
		if !slices.ContainsFunc(served, func(c *x509.Certificate) bool { return c.CheckSignatureFrom(authority) == nil }) {
			unused++
		}
	}
	switch {
	case unused == 0:
		return nil
	case certManager:
		return []Finding{t.warning("docs/certificates.md#change-the-authority-under-cert-manager says how to drop what is old",
			"of %d authorities in the caBundle no replica serves a certificate of %d: who has such a key can still speak for the stamper, and cert-manager drops none by itself", len(authorities), unused)}
	}
	return []Finding{t.ok("of %d authorities in the caBundle no replica serves a certificate of %d: the authority is being changed", len(authorities), unused)}
}

// certificate also returns what is served, where it is trusted.
func (e *examiner) certificate(ctx context.Context, at endpoint, roots *x509.CertPool, name, renewer string) (Finding, *x509.Certificate) {
	t := topic{checkCertificate, at.name}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	conn, err := at.dial(ctx)
	if err != nil {
		return t.notChecked("give --webhook-url where the stamper can be reached from here", "cannot be reached from here: %v", err), nil
	}
	defer func() { _ = conn.Close() }()
	served, err := handshake(ctx, conn, &tls.Config{RootCAs: roots, ServerName: name, Time: e.options.Now, MinVersion: tls.VersionTLS12})
	return judgeCertificate(t, served, err, name, renewer, e.options.Now()), served
}

// handshake returns the certificate that the other side serves, verified as the
// configuration says.
func handshake(ctx context.Context, conn net.Conn, config *tls.Config) (*x509.Certificate, error) {
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

// trusted reads a caBundle; the finding is what is wrong with it.
func trusted(t topic, bundle []byte, renewer string) (*x509.CertPool, *Finding) {
	if len(bundle) == 0 {
		problem := t.wrong("see why it was not written: "+renewer, "its caBundle is empty, so that API servers do not trust the stamper, and new Pods are not stamped")
		return nil, &problem
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		problem := t.wrong("see who wrote it: "+renewer, "its caBundle holds no certificate, so that API servers do not trust the stamper, and new Pods are not stamped")
		return nil, &problem
	}
	return roots, nil
}

// renewerOf says where the one who keeps caBundle and certificate says what is
// wrong.
func renewerOf(configuration *admissionregistrationv1.MutatingWebhookConfiguration) string {
	if byCertManager(configuration) {
		return "kubectl -n " + namespace + " describe certificate, and the log of cert-manager's cainjector"
	}
	return "kubectl -n " + namespace + " logs deployment/" + certificate
}

func byCertManager(configuration *admissionregistrationv1.MutatingWebhookConfiguration) bool {
	return certs.InjectedBy(configuration.Annotations) != ""
}

// serverName is the name that API servers want on the certificate.
func serverName(client admissionregistrationv1.WebhookClientConfig) string {
	if client.Service != nil {
		return client.Service.Name + "." + client.Service.Namespace + ".svc"
	}
	if client.URL != nil {
		if u, err := url.Parse(*client.URL); err == nil {
			return u.Hostname()
		}
	}
	return ""
}

// judgeCertificate judges how a handshake ended. The certificate is the one that
// was served; without an error it is trusted, and for the name.
func judgeCertificate(t topic, served *x509.Certificate, err error, name, renewer string, now time.Time) Finding {
	unverified, refused := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case refused:
		return t.wrong("see what went wrong: "+renewer, "API servers do not trust the certificate that is served: %s", explain(unverified, name, now))
	case err != nil:
		return t.notChecked("see whether it is the stamper that listens there", "no TLS handshake: %v", err)
	}
	left, life := served.NotAfter.Sub(now), served.NotAfter.Sub(served.NotBefore)
	if left < life/3 {
		return t.warning("see why it was not renewed: "+renewer, "the certificate is trusted for %s, and should have been renewed: it expires %s, in %s", name, date(served.NotAfter), days(left))
	}
	return t.ok("serves a certificate that the caBundle vouches for, for %s, until %s (%s)", name, date(served.NotAfter), days(left))
}

// explain says why a certificate was refused.
func explain(refused *tls.CertificateVerificationError, name string, now time.Time) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](refused); ok && invalid.Reason == x509.Expired {
		whose := "it"
		if invalid.Cert.IsCA {
			whose = "its authority's"
		}
		if now.Before(invalid.Cert.NotBefore) {
			return fmt.Sprintf("%s is not valid before %s", whose, date(invalid.Cert.NotBefore))
		}
		return fmt.Sprintf("%s expired %s", whose, date(invalid.Cert.NotAfter))
	}
	if _, ok := errors.AsType[x509.HostnameError](refused); ok {
		leaf := refused.UnverifiedCertificates[0]
		names := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		return fmt.Sprintf("it is for %s, and not for %s", list(names), name)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](refused); ok {
		return "it is not from the authority in the caBundle, but from " + refused.UnverifiedCertificates[0].Issuer.String()
	}
	return refused.Err.Error()
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// days is a duration in the unit in which certificates are thought of.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// endpoints are the places to shake hands with, and findings about those that
// cannot be tried.
func (e *examiner) endpoints(client admissionregistrationv1.WebhookClientConfig) ([]endpoint, []Finding) {
	at := e.options.WebhookURL
	if at == nil && client.URL != nil {
		at, _ = url.Parse(*client.URL) // as valid as API servers want it
	}
	if at != nil {
		address := hostPort(at)
		return []endpoint{{address, func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}}}, nil
	}
	return e.replicas(client.Service)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// replicas are the Pods behind the Service, through the API server.
func (e *examiner) replicas(reference *admissionregistrationv1.ServiceReference) ([]endpoint, []Finding) {
	t := topic{checkCertificate, "Service " + reference.Name}
	switch {
	case reference.Namespace != e.home() || reference.Name != stamper:
		return nil, []Finding{t.wrong(applyAgain, "API servers call a Service in the namespace %s that is not this installation's", reference.Namespace)}
	case e.installed.service.missing():
		return nil, []Finding{t.wrong(applyAgain, "does not exist: new Pods are not stamped")}
	}
	for _, err := range []error{e.installed.service.err, e.installed.pods.err} {
		if err != nil {
			return nil, []Finding{t.unread(err)}
		}
	}
	service := e.installed.service.value
	port := int32(443)
	if reference.Port != nil {
		port = *reference.Port
	}
	var endpoints []endpoint
	var findings []Finding
	for _, pod := range e.installed.pods.value.Items {
		if !behind(service, &pod) {
			continue
		}
		t := topic{checkCertificate, "Pod " + pod.Name}
		if !podutils.IsPodReady(&pod) {
			findings = append(findings, t.notChecked("kubectl -n "+namespace+" describe pod "+pod.Name, "is not ready"))
			continue
		}
		target, err := util.LookupContainerPortNumberByServicePort(*service, pod, port)
		if err != nil {
			findings = append(findings, t.wrong(applyAgain, "the Service leads nowhere: %v", err))
			continue
		}
		endpoints = append(endpoints, endpoint{t.subject, e.forward(pod.Name, target)})
	}
	if len(endpoints)+len(findings) == 0 {
		findings = append(findings, t.wrong("kubectl -n "+namespace+" get deployment,pods", "there is no Pod behind it: new Pods are not stamped"))
	}
	return endpoints, findings
}

// behind reports whether a Service selects the Pod.
func behind(service *corev1.Service, pod *corev1.Pod) bool {
	if len(service.Spec.Selector) == 0 || pod.DeletionTimestamp != nil {
		return false
	}
	for key, value := range service.Spec.Selector {
		if pod.Labels[key] != value {
			return false
		}
	}
	return true
}
