package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// answererVariable has this program answer one AdmissionReview, as the server does whose URL
// and CA's file it names.
const answererVariable = "SIDECAR_DRIFT_ANSWERER"

// answerOne is the program that "exec:" runs, and returns its exit code.
func answerOne(variable string) int {
	at, file, _ := strings.Cut(variable, " ")
	err := func() error {
		ca, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
		response, err := client.Post(at, "application/json", os.Stdin)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(os.Stdout, response.Body)
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
