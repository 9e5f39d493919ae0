package mask

import (
	"slices"
	"strings"
	"unicode"
)

// telling is what a name says of its value.
type telling int

const (
	tellsNothing telling = iota
	// tellsRandom: the value is secret if it looks random.
	tellsRandom
	// tellsMaybe: the value is secret unless it reads like words or a number.
	tellsMaybe
	// tellsSecret: the value is secret unless it refers to one.
	tellsSecret
)

// maxName is the number of bytes of a name that are looked at, its last ones.
const maxName = 128

var (
	// secretWords are secret by themselves.
	secretWords = wordSet(`password passwd passwort passw passphrase passcode pwd pw pass sshpass pepper secret token credential cred apikey authkey
		accesskey secretkey privatekey encryptionkey signingkey masterkey sharedkey accountkey requirepass masterauth userpass
		dbpass rootpass adminpass storepass keypass smtppass bearer jwt mnemonic htpasswd dockerconfigjson dockercfg
		authtoken accesstoken sessionkey licensekey connectionstring sas sastoken psk otp totp`)
	// secretEnds are the ends of words that are written without a break.
	secretEnds = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey", "accesskey", "privatekey", "credential"}
	// keyKinds make a key secret.
	keyKinds = wordSet(`api access secret private encryption encrypt encrypting signing sign master shared account auth hmac aes
		jwt license session cookie subscription crypto cipher storage fernet deploy webhook app admin kms wrapping unseal
		decryption service ssh tls ssl client server rsa ecdsa ingest ingestion write read integration functions vapid dkim data`)
	// weakWords tell of a secret where the value looks random.
	weakWords = wordSet(`auth authorization key salt cookie session sig signature nonce seed pat pin license code sid crypt
		dsn creds hmac cipher bearertoken unseal`)
	// harmlessWords, as a name's last one, speak of something about a secret.
	harmlessWords = wordSet(`name names ref refs file files filename path paths dir directory folder mount mountpath volume namespace url
		urls uri endpoint endpoints host hostname addr address issuer type kind ttl expiry expires expiration exp seconds minutes
		hours days duration timeout age enabled enable disabled disable required mode audience aud audiences id ids identifier count
		length len size limit limits max min algorithm alg algo provider version class store rotation rotate refresh interval format
		header headers prefix suffix policy policies method methods scope scopes claim claims user username account email domain
		realm region zone review reviewer reviews request requests field fields selector selectors label labels annotation
		annotations management manager controller source sources target targets backend engine role roles group groups port
		protocol strategy validation validator verify check checks cache caching usage encoding charset timestamp time date
		created updated state status reason message description title help template schema args command delimiter separator
		bucket index pattern regex regexp permissions owner plural kinds projection sync syncer operator injector webhook
		delivery support supported allow allowed option options config configuration settings tokenizer exchange jwks jwksuri public
		pub pubkey cert certs certificate certificates ca cabundle bundle anchors fingerprint thumbprint checksum digest
		automount service csi driver location ring alias pair keyring bits curve usages rate burst per second budget window`)
	// genericWords at a name's end say nothing.
	genericWords = wordSet(`value values data text string plain plaintext raw content contents base base64 b64 env prod production dev
		staging test primary secondary default current new old previous next main literal 1 2 3 v1 v2 v3`)
	// publicKinds make a key no secret.
	publicKinds = wordSet(`public pub primary foreign partition routing sort label annotation config map cache index object header topology
		host group hash lookup ordering join merge tag tags field metric property attribute message record row translation i18n
		dictionary shard sharding distribution correlation idempotency dedup aggregation unique natural surrogate composite`)
)

var (
	// aboutWords anywhere in a name say that its value is about a secret: annotations that
	// inject one, checksums, the names of imagePullSecrets.
	aboutWords = wordSet(`inject pull checksum`)
	// countWords make a number of it: MAX_TOKENS.
	countWords = wordSet(`max min num number count limit total per size length`)
)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}

// nameTells says what a name tells of its value.
func nameTells(name string) telling {
	words := nameWords(name)
	for len(words) > 1 && genericWords[words[len(words)-1]] {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return tellsNothing
	}
	last := words[len(words)-1]
	switch {
	case harmlessWords[last] || has(words, aboutWords):
		return tellsNothing
	case has(words, countWords), len(words) > 1 && last == "secret" && secretWord(words[len(words)-2]):
		if slices.ContainsFunc(words, secretWord) {
			return tellsMaybe // TOKEN_SECRET may be a Secret's name
		}
		return tellsNothing
	case secretWord(last), last == "authorization" && (len(words) == 1 || words[0] == "proxy"):
		return tellsSecret
	case last == "key" && len(words) > 1 && publicKinds[words[len(words)-2]]:
		return tellsNothing
	case last == "key" && len(words) > 1 && keyKinds[words[len(words)-2]]:
		return tellsSecret
	case last == "key" && len(words) == 1:
		return tellsNothing // of a map, mostly
	case weakWords[last] && !slices.ContainsFunc(words, secretWord):
		return tellsRandom
	case slices.ContainsFunc(words, secretWord):
		return tellsMaybe
	}
	return tellsNothing
}

// harmlessName reports whether what a name says is known, and no secret.
func harmlessName(name string) bool {
	words := nameWords(name)
	return len(words) > 0 && harmlessWords[words[len(words)-1]]
}

func has(words []string, set map[string]bool) bool {
	return slices.ContainsFunc(words, func(word string) bool { return set[word] })
}

func secretWord(word string) bool {
	if secretWords[word] {
		return true
	}
	return slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(word, end) })
}

// nameWords are the words of a name in lower case and in the singular, without
// an annotation's domain: camelCase, snake_case, kebab-case and dots.
func nameWords(name string) []string {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	if domain, rest, ok := strings.Cut(name, "/"); ok && strings.Contains(domain, ".") {
		name = rest
	}
	var words []string
	word := []rune{}
	flush := func() {
		if len(word) > 0 {
			words = append(words, singular(strings.ToLower(string(word))))
		}
		word = word[:0]
	}
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if i > 0 && unicode.IsUpper(r) {
			before := runes[i-1]
			endsCapitals := unicode.IsUpper(before) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(before) || unicode.IsDigit(before) || endsCapitals {
				flush()
			}
		}
		word = append(word, r)
	}
	flush()
	return words
}

func singular(word string) string {
	short := strings.TrimSuffix(word, "s")
	if short == "pas" || harmlessWords[word] || strings.HasSuffix(short, "s") {
		return word
	}
	return short
}
