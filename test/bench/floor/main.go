// Command floor is the least that a mutating webhook costs. It decodes nothing:
// at /allow it allows each object under review, at /annotate it also adds one
// constant annotation, to objects that have annotations.
//
// Usage: floor ADDRESS CERTIFICATE KEY
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const annotate = `[{"op":"add","path":"/metadata/annotations/floor","value":"annotated"}]`

func main() {
	fmt.Fprintln(os.Stderr, "error:", run(os.Args[1:]))
	os.Exit(2)
}

// run serves until the process is killed.
func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: floor ADDRESS CERTIFICATE KEY")
	}
	mux := http.NewServeMux()
	mux.Handle("/allow", answer(`}}`))
	mux.Handle("/annotate", answer(`,"patchType":"JSONPatch","patch":"`+base64.StdEncoding.EncodeToString([]byte(annotate))+`"}}`))
	server := &http.Server{Addr: args[0], Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServeTLS(args[1], args[2])
}

// answer allows every object; tail is what follows in the response.
func answer(tail string) http.HandlerFunc {
	const head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"allowed":true,"uid":`
	return func(w http.ResponseWriter, r *http.Request) {
		uid, err := readUID(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(append([]byte(head), uid...), tail...))
	}
}

// readUID reads the whole review, as a webhook must, and finds the request's
// uid, which API servers write first: a quoted string.
func readUID(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return nil, errors.New("the review's length is not announced")
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, err
	}
	const name = `"uid":`
	_, rest, found := bytes.Cut(body, []byte(name))
	end := bytes.IndexByte(rest, ',')
	if !found || end < 0 {
		return nil, errors.New("the review has no uid")
	}
	return rest[:end], nil
}
