package cli

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"regexp"
)

var (
	// secretName is a variable whose value is not for everybody's eyes.
	secretName = regexp.MustCompile(`(?i)(passw(or)?d|passphrase|secret|token|credential|(api|access|private)_?key|auth)s?$`)
	// secretValue is a JSON web token or a key in PEM.
	secretValue = regexp.MustCompile(`^eyJ[\w-]+\.|-----BEGIN [A-Z ]*PRIVATE KEY`)
	// longRun is a token in base64 or hex, if there is a digit in it.
	longRun = regexp.MustCompile(`^[A-Za-z0-9+/_=-]{32,}$`)
	digit   = regexp.MustCompile(`[0-9]`)
)

// newMask returns a function that replaces values of variables that look like
// secrets. Equal values get equal masks, so that a difference still shows; the
// key is another one each time, so that a mask says nothing about its value.
func newMask() func(name, value string) string {
	key := []byte(rand.Text())
	return func(name, value string) string {
		looksSo := secretName.MatchString(name) || secretValue.MatchString(value) || longRun.MatchString(value) && digit.MatchString(value)
		if value == "" || !looksSo {
			return value
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(value))
		return fmt.Sprintf("*** (masked, %x)", mac.Sum(nil)[:4])
	}
}

func showSecret(_, value string) string { return value }
