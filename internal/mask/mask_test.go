package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

func TestSecretsAreMasked(t *testing.T) {
	m := New([]byte("salt"))
	cases := masktest.Secrets(1)
	if len(cases) < 100 {
		t.Errorf("the corpus has %d secrets, too few to say much", len(cases))
	}
	for _, c := range cases {
		shown := m.At(c.Path, c.Value)
		if !json.Valid(shown) {
			t.Errorf("%s is no JSON any more: %s", c.Path, shown)
		}
		for _, secret := range append(c.Secrets, c.Encoded...) {
			if strings.Contains(string(shown), secret) {
				t.Errorf("%s shows %s in %s", c.Path, secret, shown)
			}
		}
	}
}

func TestHarmlessValuesStayReadable(t *testing.T) {
	m := New([]byte("salt"))
	cases := masktest.Harmless()
	if len(cases) < 200 {
		t.Errorf("the corpus has %d harmless values, too few to say much", len(cases))
	}
	for _, c := range cases {
		if shown := m.At(c.Path, c.Value); !bytes.Equal(shown, c.Value) {
			t.Errorf("%s\n  %s\nis shown as\n  %s", c.Path, c.Value, shown)
		}
	}
}

func TestMessagesQuoteNoSecret(t *testing.T) {
	m := New([]byte("salt"))
	for _, message := range masktest.Messages(1) {
		shown := m.Prose(message.Text)
		for _, secret := range message.Secrets {
			if strings.Contains(shown, secret) {
				t.Errorf("%s stands in %s", secret, shown)
			}
		}
	}
	for _, text := range masktest.PlainMessages() {
		if shown := m.Prose(text); shown != text {
			t.Errorf("%s\nreads\n%s", text, shown)
		}
	}
}

// What verdict.Cut has cut off holds the beginning of no secret, and no digest of
// one.
func TestCutTexts(t *testing.T) {
	m := New([]byte("salt"))
	const mark = "… (1234567 bytes, sha256 0123456789abcdef)"
	token := "gh" + "p_" + strings.Repeat("a1B2", 5)
	for _, body := range []string{
		`{"level":"info","note":"` + token, `{"level":"info","password":"hunter2`, "level: info\npassword: hunter2", "see postgres://app:hunter2",
		"-----BEGIN " + "PRIVATE KEY-----\nhunter2", base64.StdEncoding.EncodeToString([]byte(`{"level":"information!","password":"hunter2-and-so-on`)),
		"--level=info --token hunter2", `admission webhook denied: DB_PASSWORD="hunter2`, "X: " + token,
	} {
		for _, shown := range []string{m.Value("SETTING", body+mark), m.Prose(body + mark)} {
			for _, secret := range []string{"hunter2", token, "0123456789abcdef"} {
				if strings.Contains(shown, secret) {
					t.Errorf("%s stands in %s", secret, shown)
				}
			}
		}
		if shown := m.Value("SETTING", body+mark); strings.HasPrefix(body, "ey") && strings.Contains(shown, "ey") {
			t.Errorf("%s is shown as %s", body, shown)
		}
	}
	const harmless = "level: info\nurl: https://example.com/ "
	if shown := m.Value("SETTING", harmless+mark); !strings.HasPrefix(shown, harmless+"… (1234567 bytes, sha256 ***") {
		t.Errorf("shown as %s", shown)
	}
}
