package candidate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// servingFor is a TLS server that has a certificate for a name, and that certificate.
func servingFor(t *testing.T, name string) (*httptest.Server, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("asked " + r.URL.Path))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// The candidates' authorities vouch for candidates, and for what --present names. Who answers
// now is verified as the API server does, of which one by a URL may have the system's.
func TestWhoVouchesForWhom(t *testing.T) {
	server, ca := servingFor(t, "127.0.0.1.example")
	at := "https://127.0.0.1.example:" + server.URL[strings.LastIndexByte(server.URL, ':')+1:]
	for _, named := range []bool{false, true} {
		h := hookOf("a.example.com", nil)
		h.client = admissionregistrationv1.WebhookClientConfig{URL: &at}
		c := &Candidates{hooks: []*hook{h}, opts: Options{CA: ca}}
		where, err := ParseWhere(at)
		if err != nil {
			t.Fatal(err)
		}
		if named {
			c.opts.Present = []Place{{Webhook: "a.example.com", Where: where}}
		}
		if err := c.reach(reach{ca: ca, concurrency: 1}); err != nil || h.unreached != nil {
			t.Fatal(err, h.unreached)
		}
		roots := h.present.(*httpServer).client.Transport.(*http.Transport).TLSClientConfig.RootCAs
		if (roots == nil) == named { // nil: the system's
			t.Errorf("named %t: verified by %v", named, roots)
		}
	}
}

// A Service is reached by a port-forward to a ready Pod of it, and verified as its name.
func TestServiceThroughAPortForward(t *testing.T) {
	injector, ca := servingFor(t, "injector.mesh.svc")
	_, othersCA := servingFor(t, "injector.mesh.svc")
	pod := func(name string, ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "mesh"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "injector", Ports: []corev1.ContainerPort{{Name: "webhook", ContainerPort: 15017}}}}},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	objects := map[string]any{
		"/api/v1/namespaces/mesh/services/injector": corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "injector", Namespace: "mesh"},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "injector"}, Ports: []corev1.ServicePort{{
				Port: 443, TargetPort: intstr.FromString("webhook"),
			}}},
		},
		"/api/v1/namespaces/mesh/services/outside": corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "outside", Namespace: "mesh"}},
		"/api/v1/namespaces/mesh/pods":             corev1.PodList{Items: []corev1.Pod{pod("starting", corev1.ConditionFalse), pod("it", corev1.ConditionTrue)}},
	}
	forward := kubelet.PortForward(map[string]string{"15017": injector.Listener.Addr().String()})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch object, found := objects[r.URL.Path]; {
		case found:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(object)
		case r.URL.Path == "/api/v1/namespaces/mesh/pods/it/portforward" && r.Header.Get("Upgrade") != "websocket":
			forward.ServeHTTP(w, r)
		default:
			http.Error(w, "not here", http.StatusBadRequest)
		}
	}))
	t.Cleanup(api.Close)
	config := &rest.Config{Host: api.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	to := func(name string, ca []byte) (string, error) {
		where, err := ParseWhere("svc/mesh/" + name + ":443/inject")
		if err != nil {
			t.Fatal(err)
		}
		s, err := reach{config: config, cluster: cluster, concurrency: 1}.to(where, ca)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		answer, err := s.ask(t.Context(), []byte("{}"))
		return string(answer), err
	}
	for range 2 {
		if answer, err := to("injector", ca); err != nil || answer != "asked /inject" {
			t.Errorf("%q, %v", answer, err)
		}
	}
	if _, err := to("injector", othersCA); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("one that nobody vouches for: %v", err)
	}
	if _, err := to("outside", ca); err == nil || !strings.Contains(err.Error(), "selects no Pods") {
		t.Errorf("a Service without a selector: %v", err)
	}
}
