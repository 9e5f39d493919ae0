package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// attemptTimeout bounds one attempt, longestRetryAfter what a server may ask for.
	attemptTimeout    = 10 * time.Second
	longestRetryAfter = 5 * time.Minute
	// mostOfAnswer is what is read of an answer.
	mostOfAnswer  = 64 << 10
	mostRedirects = 3
)

var (
	errElsewhere = errors.New("it redirects to another host, or turns the POST into a GET: neither is followed; give the address that it redirects to")
	errRedirects = errors.New("it redirects again and again")
)

// post sends a body. The error says nothing of the address but its host, and is a
// [backoff.PermanentError] where another attempt would not help.
func post(ctx context.Context, address, contentType, caFile string, body []byte) error {
	client, err := newClient(caFile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(withoutURL(err))
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "sidecar-drift")
	response, err := client.Do(request)
	if err != nil {
		if errors.Is(err, errElsewhere) || errors.Is(err, errRedirects) {
			return backoff.Permanent(withoutURL(err))
		}
		return withoutURL(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostOfAnswer))
	if response.StatusCode/100 == 2 {
		return nil
	}
	if err != nil {
		answer = nil
	}
	return judged(response, said(answer, address))
}

// newClient is used for one attempt: the CA may be another one for the next. Nothing of it
// outlives that.
func newClient(caFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate in PEM", caFile)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: transport, CheckRedirect: sameHost}, nil
}

// sameHost lets a POST stay one, where it was sent.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case next.Method != http.MethodPost, next.URL.Host != first.URL.Host, next.URL.Scheme != first.URL.Scheme:
		return errElsewhere
	case len(via) > mostRedirects:
		return errRedirects
	}
	return nil
}

// judged says what it means that a server did not take a message.
func judged(response *http.Response, why string) error {
	err := fmt.Errorf("it answers %d %s%s", response.StatusCode, http.StatusText(response.StatusCode), why)
	switch code := response.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if after, ok := retryAfter(response.Header.Get("Retry-After"), time.Now()); ok {
			return fmt.Errorf("%w: %w", err, &backoff.RetryAfterError{Duration: after})
		}
		return err
	case code >= 500, code == http.StatusRequestTimeout:
		return err
	}
	return backoff.Permanent(err)
}

// retryAfter reads a header's seconds or date.
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	var after time.Duration
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		after = time.Duration(min(seconds, int(longestRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		after = max(at.Sub(now), 0)
	} else {
		return 0, false
	}
	return min(after, longestRetryAfter), true
}

// code is what Slack and others answer in place of a sentence: invalid_payload, no_service.
var code = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// said is such a word of an answer. Nothing else of it is shown: it may quote the request.
func said(answer []byte, address string) string {
	word := strings.TrimSpace(string(answer))
	if len(word) > 40 || !code.MatchString(word) || strings.Contains(address, word) {
		return ""
	}
	return ": " + word
}

// What is shown of errors of net/http whose own words may hold more.
var (
	errParse   = errors.New("the URL cannot be parsed")
	errTimeout = errors.New("it does not answer in time")
	errUnsaid  = errors.New("the request failed, or its answer is no valid one; why is not said, as that may quote the address: curl -v shows it")
)

// withoutURL is what is known to say nothing of an address but its host, of an error of
// net/http or net/url. Others quote the URL, that of a proxy, or a server's answer, which may
// repeat what was asked for.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok && wrapped.Op == "parse" {
		return errParse
	}
	for _, known := range []error{errElsewhere, errRedirects, context.Canceled, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return known
		}
	}
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unverified
	}
	if unlike, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return unlike
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		if failed.Op == "proxyconnect" { // which may wrap what the proxy answers
			return fmt.Errorf("the proxy: %w", withoutURL(failed.Err))
		}
		return failed
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return errTimeout
	}
	for _, ended := range []error{io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, ended) {
			return ended
		}
	}
	return errUnsaid
}
