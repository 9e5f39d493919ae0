package image

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// issue writes a certificate where the stamper looks for one.
func issue(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	inDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "PRIVATE KEY", Bytes: inDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// serve runs the stamper from an unpacked image until it is ready, and ends it.
func serve(t *testing.T, dir string) {
	t.Helper()
	probes := freeAddress(t)
	stamper := jailed(t.Context(), t, dir, "/sidecar-drift-webhook", "--shutdown-delay", "0",
		"--bind-address", freeAddress(t), "--health-probe-bind-address", probes, "--metrics-bind-address", "0")
	var output bytes.Buffer
	stamper.Stdout, stamper.Stderr = &output, &output
	if err := stamper.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stamper.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ready := false; !ready; {
		select {
		case err := <-ended:
			t.Fatalf("the stamper ended: %v\n%s", err, &output)
		case <-tick.C:
			response, err := http.Get("http://" + probes + "/readyz")
			if err == nil {
				ready = response.StatusCode == http.StatusOK
				response.Body.Close()
			}
		}
	}
	if os.Getuid() == 0 { // else the jail's user is this one, called otherwise
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", stamper.Process.Pid))
		if want := fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d", nonroot); err != nil || !strings.Contains(string(status), want) {
			t.Errorf("want %q, got %v\n%s", want, err, status)
		}
	}
	if err := stamper.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stamper ended with %v\n%s", err, &output)
	}
}
