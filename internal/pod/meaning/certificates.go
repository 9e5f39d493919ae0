package meaning

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// maxSubject is the length of a subject, encoded, that is shown.
const maxSubject = 1 << 10

const beginCertificate = "-----BEGIN CERTIFICATE-----"

// certificates reads a bundle of certificates in PEM, and nothing else, as a list of
// what each of them is.
func (d *decoder) certificates(text string) (Value, bool) {
	if !strings.HasPrefix(text, "-----BEGIN CERT") && text[0] != '#' {
		return Value{}, false
	}
	n := strings.Count(text, beginCertificate)
	if n == 0 || n != strings.Count(text, "-----BEGIN ") || !d.spend(len(text)) {
		return Value{}, false
	}
	var items []Value
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return Value{}, false
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Value{}, false
		}
		items = append(items, Value{kind: leaf, raw: quote(describe(certificate))})
	}
	if len(items) != n || !d.count(n) {
		return Value{}, false
	}
	return newList(nil, items), true
}

// describe tells a certificate from others for a reader, and by its fingerprint.
func describe(c *x509.Certificate) string {
	subject := ""
	if len(c.RawSubject) <= maxSubject {
		subject = c.Subject.String()
	}
	if subject != "" {
		subject += ", "
	}
	fingerprint := sha256.Sum256(c.Raw)
	return fmt.Sprintf("%s%s to %s, sha256 %x", subject,
		c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly), fingerprint[:8])
}
