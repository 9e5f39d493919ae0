package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// apiServer forwards to ports of this machine, by the older of the two protocols.
func apiServer(t *testing.T, ports map[string]string) *rest.Config {
	t.Helper()
	pod := kubelet.PortForward(ports)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") == "websocket":
			http.Error(w, "not here", http.StatusBadRequest)
		case r.URL.Path != "/api/v1/namespaces/sidecar-drift/pods/it/portforward":
			http.Error(w, "pods is forbidden", http.StatusForbidden)
		default:
			pod.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func TestCertificateThroughAPortForward(t *testing.T) {
	authority := newAuthority(t)
	address := listen(t, serving(t, authority, serviceName))
	config := apiServer(t, map[string]string{"9443": address})
	e, err := newExaminer(config, Options{Now: func() time.Time { return issued.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	trust := topic{checkCertificate, configurationName}
	roots, _ := trusted(trust, certs.Bundle{authority.Certificate}.PEM(), "")
	others, _ := trusted(trust, certs.Bundle{newAuthority(t).Certificate}.PEM(), "")
	certificate := func(at endpoint, roots *x509.CertPool) Finding {
		finding, _ := e.certificate(t.Context(), at, roots, serviceName, "logs")
		return finding
	}
	check(t, []Finding{
		certificate(endpoint{"Pod it", e.forward("it", 9443)}, roots),
		certificate(endpoint{"Pod it", e.forward("it", 9443)}, others),
		certificate(endpoint{"Pod it", e.forward("it", 1)}, roots),
		certificate(endpoint{"Pod other", e.forward("other", 9443)}, roots),
	},
		expected{state: OK, message: serviceName},
		expected{state: Wrong, message: "not from the authority"},
		expected{state: NotChecked, message: "nothing listens on port 1"},
		expected{state: NotChecked, message: "pods is forbidden"},
	)
}

func TestPortForwardEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	e, err := newExaminer(&rest.Config{Host: "http://" + silent.Addr().String()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var accepted sync.WaitGroup
	accepted.Go(func() {
		conn, err := silent.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		cancel()
		<-ended
		_ = conn.Close()
	})
	if _, err := e.forward("it", 9443)(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	close(ended)
	accepted.Wait()
}
