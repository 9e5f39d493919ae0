package mask

import (
	"math"
	"regexp"
	"strings"
)

// gives reports whether a value is the secret that its name tells of, and not
// something that is said about one.
func (t telling) gives(value string) bool {
	if t == tellsNothing || value == "" || refers(value) {
		return false
	}
	switch t {
	case tellsRandom:
		return random(value)
	case tellsMaybe:
		return !plainWords.MatchString(value)
	}
	return true
}

var (
	// plainWords are words and numbers, such as a mode or a duration.
	plainWords = regexp.MustCompile(`^(?:[A-Za-z]+(?:[-_ .][A-Za-z]+)*|-?[0-9.]+[a-zA-Z%]{0,2})$`)
	// reference is what stands for a secret that is elsewhere: $(VAR), ${VAR}, {{ … }},
	// <name>, and the forms of secret managers.
	reference = regexp.MustCompile(`^(?:\$\([\w.-]+\)|\$\((?:cat|<) ?[\w./-]+\)|\$\{[\w.]+\}|\$[A-Za-z_]\w*|\{\{.*\}\}|<[\w .-]+>|%[A-Z_]+%|(?:arn|vault|ref\+\w+|gcpsm|awssm|azurekv|op):.*)$`)
	// path is a file's or a secret store's; a random one would have capitals.
	path = regexp.MustCompile(`^(?:(?:file:/)?[./~]*/(?:var|etc|run|tmp|vault|opt|usr|home|mnt|secrets?|app|data|root|srv|dev|proc|certs?|tokens?|config|credentials|keys|workspace|tls|ssl|auth|sys|bin|lib)(?:/[\w.@$(){}*-]+)*/?|[./~]*/?[a-z0-9_.-]+(?:/[a-z0-9_.-]+)+/?|[\w-]+\.(?:pem|crt|cer|key|json|ya?ml|toml|txt|conf|jks|p12|pfx|token|env|ini))$`)
	// publicKey is one of OpenSSH, a certificate or a digest.
	publicKey = regexp.MustCompile(`^(?:ssh-(?:rsa|ed25519|dss) |ecdsa-sha2-|-----BEGIN (?:CERTIFICATE|PUBLIC KEY|TRUSTED CERTIFICATE|CERTIFICATE REQUEST)-----|sha(?:1|224|256|384|512):|SHA256:)`)
	uuid      = regexp.MustCompile(`(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// refers reports whether a value says where a secret is, that there is none, or
// whether there is one.
func refers(value string) bool {
	if len(value) > longestReference {
		return publicKey.MatchString(value[:longestReference]) && !strings.Contains(value, "PRIVATE KEY")
	}
	trimmed := strings.Trim(value, " \t\r\n\"'")
	switch strings.ToLower(trimmed) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "nil", "none", "undefined", "~", "{}", "[]", "|", ">", "|-", ">-", "\\":
		return true
	}
	switch {
	case strings.Contains(trimmed, "://"):
		return !strings.ContainsAny(trimmed, " \n") // userinfo and parameters are looked at by themselves
	case strings.Contains(trimmed, "-----BEGIN ") && !strings.Contains(trimmed, "PRIVATE KEY"):
		return publicKey.MatchString(trimmed)
	}
	return reference.MatchString(trimmed) || path.MatchString(trimmed) || publicKey.MatchString(trimmed)
}

// longestReference is the number of bytes that what says where a secret is has at
// most.
const longestReference = 2048

const (
	// shortestRandom is the length from which text can look random.
	shortestRandom = 16
	// leastEntropy in bits a character: hexadecimal has at most 4, words some 2.5 to 3.
	leastEntropy = 3.0
)

// random reports whether a value looks like a token: a long run of letters and
// digits, mixed. UUIDs are no secret by themselves.
func random(value string) bool {
	if uuid.MatchString(value) || publicKey.MatchString(value) {
		return false
	}
	for piece := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" .-_:,;/\t\n@", r) }) {
		if len(piece) < shortestRandom || entropy(piece) < leastEntropy {
			continue
		}
		if strings.ContainsAny(piece, "0123456789") && strings.ContainsFunc(piece, func(r rune) bool { return r < 0x80 && letter(byte(r)) }) {
			return true
		}
	}
	return false
}

// entropy is Shannon's, in bits a byte.
func entropy(text string) float64 {
	var counts [256]int
	for i := 0; i < len(text); i++ {
		counts[text[i]]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(text))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

func letter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func digit(b byte) bool { return b >= '0' && b <= '9' }

// nameByte holds for what names of variables, keys and flags are made of.
func nameByte(b byte) bool {
	return letter(b) || digit(b) || b == '_' || b == '-' || b == '.' || b == '/'
}

// wordByte holds for what tokens and base64 are made of.
func wordByte(b byte) bool { return letter(b) || digit(b) || strings.IndexByte("_-.~+/=", b) >= 0 }
