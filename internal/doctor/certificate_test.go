package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/certs"
)

const serviceName = "sidecar-drift-webhook.sidecar-drift.svc"

var issued = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) certs.Authority {
	t.Helper()
	authority, err := certs.NewAuthority(issued)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// serving is a certificate of the authority, as a server has it.
func serving(t *testing.T, authority certs.Authority, hosts ...string) tls.Certificate {
	t.Helper()
	pair, err := authority.Issue(hosts, issued)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	served, err := tls.X509KeyPair(pair.CertificatePEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	return served
}

// listen serves a certificate on this machine and returns where.
func listen(t *testing.T, served tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{served}})
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				// It fails where the other side does not trust the certificate.
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	return listener.Addr().String()
}

// at is an endpoint on this machine.
func at(address string) endpoint {
	return endpoint{"Pod it", func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}}
}

func TestCertificate(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	served := serving(t, authority, serviceName, "10.0.0.1")
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		served tls.Certificate
		host   string
		at     time.Time
		want   expected
	}{
		{"trusted", served, serviceName, issued.Add(day), expected{OK, "Pod it", "until 2026-04-01 00:00 UTC (89 days)", ""}},
		{"for an address", served, "10.0.0.1", issued.Add(day), expected{state: OK, message: "for 10.0.0.1"}},
		{"almost due", served, serviceName, issued.Add(59 * day), expected{state: OK}},
		{"overdue", served, serviceName, issued.Add(61 * day), expected{Warning, "Pod it", "should have been renewed: it expires 2026-04-01 00:00 UTC, in 29 days", "logs deployment/sidecar-drift-certs"}},
		{"on its last day", served, serviceName, issued.Add(89*day + 90*time.Minute), expected{state: Warning, message: "in 22h30m0s"}},
		{"expired", served, serviceName, issued.Add(91 * day), expected{Wrong, "Pod it", "it expired 2026-04-01 00:00 UTC", "sidecar-drift-certs"}},
		{"not valid yet", served, serviceName, issued.Add(-day), expected{state: Wrong, message: "it is not valid before 2025-12-31 23:"}},
		{"for another name", served, "sidecar-drift-webhook.other.svc", issued.Add(day),
			expected{state: Wrong, message: "it is for sidecar-drift-webhook.sidecar-drift.svc and 10.0.0.1, and not for sidecar-drift-webhook.other.svc"}},
		{"from another authority", serving(t, other, serviceName), serviceName, issued.Add(day), expected{state: Wrong, message: "not from the authority in the caBundle"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			roots, problem := trusted(topic{checkCertificate, configurationName}, certs.Bundle{authority.Certificate}.PEM(), "")
			if problem != nil {
				t.Fatal(problem)
			}
			e := &examiner{options: Options{Now: func() time.Time { return tt.at }}}
			renewer := renewerOf(&admissionregistrationv1.MutatingWebhookConfiguration{})
			finding, _ := e.certificate(t.Context(), at(listen(t, tt.served)), roots, tt.host, renewer)
			check(t, []Finding{finding}, tt.want)
		})
	}
}

func TestCertificateOfNoTLSServer(t *testing.T) {
	e := &examiner{options: Options{Now: time.Now}}
	cannot := endpoint{"Pod it", func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }}
	silent := endpoint{"Pod it", func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		return here, there.Close()
	}}
	unreachable, _ := e.certificate(t.Context(), cannot, nil, serviceName, "")
	noServer, _ := e.certificate(t.Context(), silent, nil, serviceName, "")
	check(t, []Finding{unreachable, noServer},
		expected{NotChecked, "Pod it", "cannot be reached from here: no route", "--webhook-url"},
		expected{NotChecked, "Pod it", "no TLS handshake", "whether it is the stamper"})
}

func TestBundle(t *testing.T) {
	topic := topic{checkCertificate, configurationName}
	managed := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"cert-manager.io/inject-ca-from": "sidecar-drift/stamper"}}}
	_, empty := trusted(topic, nil, renewerOf(managed))
	_, broken := trusted(topic, []byte("no certificate"), renewerOf(&admissionregistrationv1.MutatingWebhookConfiguration{}))
	if empty == nil || broken == nil {
		t.Fatal("a caBundle without a certificate is trusted")
	}
	check(t, []Finding{*empty, *broken},
		expected{Wrong, configurationName, "is empty", "cainjector"},
		expected{Wrong, configurationName, "holds no certificate", "sidecar-drift-certs"})
}

func TestReplicasBehindTheService(t *testing.T) {
	behindIt := map[string]string{"app": "it"}
	pod := func(ready corev1.ConditionStatus, port string, labels map[string]string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", Labels: labels}}
		p.Spec.Containers = []corev1.Container{{Name: "webhook", Ports: []corev1.ContainerPort{{Name: port, ContainerPort: 9443}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		return p
	}
	service := &corev1.Service{Spec: corev1.ServiceSpec{
		Selector: behindIt, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromString("https")}},
	}}
	own := &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: stamper}
	well := pod(corev1.ConditionTrue, "https", behindIt)
	for _, tt := range []struct {
		name      string
		reference *admissionregistrationv1.ServiceReference
		service   read[corev1.Service]
		pods      []corev1.Pod
		reachable int
		want      []expected
	}{
		{"two", own, there(service), []corev1.Pod{well, well}, 2, nil},
		{"one of two is not ready", own, there(service), []corev1.Pod{well, pod(corev1.ConditionFalse, "https", behindIt)}, 1,
			[]expected{{NotChecked, "Pod pod", "not ready", "describe pod pod"}}},
		{"none", own, there(service), []corev1.Pod{pod(corev1.ConditionTrue, "https", nil)}, 0, []expected{{state: Wrong, message: "no Pod behind it"}}},
		{"no such port", own, there(service), []corev1.Pod{pod(corev1.ConditionTrue, "http", behindIt)}, 0, []expected{{state: Wrong, message: "leads nowhere"}}},
		{"no Service", own, notThere[corev1.Service](), nil, 0, []expected{{Wrong, "Service " + stamper, "does not exist", "make deploy"}}},
		{"a Service that may not be read", own, notAllowed[corev1.Service](), nil, 0, []expected{{state: NotChecked}}},
		{"another Service", &admissionregistrationv1.ServiceReference{Namespace: "elsewhere", Name: stamper}, there(service), []corev1.Pod{well}, 0,
			[]expected{{state: Wrong, message: "in the namespace elsewhere"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := newExaminer(&rest.Config{Host: "http://127.0.0.1:1"}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			e.installed.service, e.installed.pods = tt.service, there(&corev1.PodList{Items: tt.pods})
			endpoints, findings := e.endpoints(admissionregistrationv1.WebhookClientConfig{Service: tt.reference})
			if len(endpoints) != tt.reachable {
				t.Errorf("%d Pods to shake hands with, want %d", len(endpoints), tt.reachable)
			}
			check(t, findings, tt.want...)
		})
	}
}

func TestServerName(t *testing.T) {
	service := &admissionregistrationv1.ServiceReference{Namespace: "sidecar-drift", Name: "sidecar-drift-webhook"}
	address := "https://stamper.example.com:9443/stamp"
	for want, client := range map[string]admissionregistrationv1.WebhookClientConfig{
		serviceName:           {Service: service},
		"stamper.example.com": {URL: &address},
	} {
		if got := serverName(client); got != want {
			t.Errorf("server name %q, want %q", got, want)
		}
	}
	for given, want := range map[string]string{"https://a.example.com": "a.example.com:443", "https://[::1]:9443/stamp": "[::1]:9443"} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("address of %s: %s, want %s", given, got, want)
		}
	}
}
