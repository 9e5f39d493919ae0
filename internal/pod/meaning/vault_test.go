package meaning

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vault is the value of VAULT_CONFIG as Vault's injector writes it: base64 of JSON,
// whose templates come in the order of a Go map. A nonce is not its habit, but
// that of others.
func vault(t testing.TB, random *rand.Rand, secrets int, address string) json.RawMessage {
	t.Helper()
	templates := make([]any, secrets)
	for i, at := range random.Perm(secrets) {
		templates[i] = map[string]any{
			"destination":    fmt.Sprintf("/vault/secrets/secret-%d", at),
			"contents":       fmt.Sprintf(`{{ with secret "kv/data/%d" }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}%s{{ end }}{{ end }}`, at, "\n"),
			"left_delimiter": "{{", "right_delimiter": "}}", "error_on_missing_key": false,
			"nonce": fmt.Sprintf("%016x", random.Uint64()),
		}
	}
	config := map[string]any{
		"auto_auth": map[string]any{
			"method": map[string]any{
				"type": "kubernetes", "mount_path": "auth/kubernetes",
				"config": map[string]any{"role": "web", "token_path": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
			},
			"sink": []any{map[string]any{"type": "file", "config": map[string]any{"path": "/home/vault/.vault-token"}}},
		},
		"exit_after_auth": true, "pid_file": "/home/vault/.pid",
		"vault":           map[string]any{"address": address},
		"template":        templates,
		"template_config": map[string]any{"exit_on_retry_failure": true},
	}
	return text(b64(string(marshal(t, config))))
}

func TestVaultConfig(t *testing.T) {
	for _, secrets := range []int{2, 3, 10} {
		t.Run(fmt.Sprint(secrets), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(secrets)))
			answer := func(address string) Value { return Of(vault(t, random, secrets, address)) }
			var varies Variation
			first := answer("https://vault:8200")
			for range 5 {
				varies.Learn(first, answer("https://vault:8200"))
			}
			for range 5 {
				differences, left := Diff(first, answer("https://vault:8200"), varies)
				if len(differences) > 0 || left < secrets {
					t.Errorf("%d left, %q", left, shown(differences))
				}
			}
			differences, _ := Diff(first, answer("https://vault.example.com:8200"), varies)
			want := []string{`vault.address: "https://vault:8200" → "https://vault.example.com:8200"`}
			if diff := cmp.Diff(want, shown(differences)); diff != "" {
				t.Error(diff)
			}
			more, _ := Diff(answer("a"), Of(vault(t, random, secrets+1, "a")), varies)
			if len(more) != 1 || more[0].Path != fmt.Sprintf("template[/vault/secrets/secret-%d]", secrets) || more[0].From != nil {
				t.Errorf("a secret more: %q", shown(more))
			}
		})
	}
}
