package mask

import (
	"regexp"
	"strings"
)

// privateKeys are keys in PEM, headers included; one without an end goes on to
// the end of the text.
func privateKeys(text string) []span {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"
	var spans []span
	for at := 0; ; {
		i := strings.Index(text[at:], begin)
		if i < 0 {
			return spans
		}
		start := at + i
		at = start + len(begin)
		title, rest, ok := strings.Cut(text[at:], dashes)
		if !ok || len(title) > 64 || !strings.Contains(title, "PRIVATE KEY") {
			continue
		}
		stop := len(text)
		if i := strings.Index(rest, end); i >= 0 {
			stop = len(text) - len(rest) + i + len(end)
			if j := strings.Index(text[stop:], dashes); j >= 0 {
				stop += j + len(dashes)
			}
		}
		spans = append(spans, span{start, stop})
		at = stop
	}
}

// scheme is one of HTTP's Authorization, and the credentials behind it.
var scheme = regexp.MustCompile(`(?i)\b(?:bearer|basic|token|apikey|negotiate|digest|splunk|aws4-hmac-sha256)(?:\s+|%20)([A-Za-z0-9_.~+/=-]{8,})`)

// credentials are those behind a scheme, if they look like some: "token expired" does
// not.
func credentials(text string) []span {
	var spans []span
	lower := strings.ToLower(text)
	if !containsAny(lower, "bearer", "basic", "token", "apikey", "negotiate", "digest", "splunk", "aws4") {
		return nil
	}
	for _, at := range scheme.FindAllStringSubmatchIndex(text, -1) {
		found := text[at[2]:at[3]]
		if strings.ContainsAny(found, "0123456789=") && !refers(found) && entropy(found) > 2.5 {
			spans = append(spans, span{at[2], at[3]})
		}
	}
	return spans
}

// schemeOnly is a scheme at the beginning.
var schemeOnly = regexp.MustCompile(`(?i)^(?:bearer|basic|token|apikey|negotiate|digest|splunk)\s+`)

// schemeEnd is where the credentials of an Authorization begin; 0 if no scheme is
// given.
func schemeEnd(text string) int {
	at := schemeOnly.FindStringIndex(text)
	if at == nil || at[1] == len(text) {
		return 0
	}
	return at[1]
}

// phrases are credentials in the words of .netrc, of SQL, of
// password hashes, of PostgreSQL's .pgpass, and of programs that take a password
// behind a short flag.
var phrases = regexp.MustCompile(`(?i)\blogin\s+\S+\s+password\s+(\S+)|\b(?:identified\s+by|with\s+password|password)\s+'([^']+)'|(\$(?:2[abxy]|[156y]|argon2id?|apr1|pbkdf2[\w-]*)\$[\w./$,=+-]{20,})|\bsshpass\s+-p\s*(\S+)|\bmysql\w*(?:\s+\S+)*?\s+-p([^\s'"$-][^\s'"]*)` +
	`|\bredis-cli(?:\s+\S+)*?\s+-a\s*([^\s'"]+)|\b(?:mongo\w*|docker\s+login|podman\s+login|helm\s+registry\s+login)(?:\s+\S+)*?\s+-p\s*([^\s'"-][^\s'"]*)` +
	`|\bldap\w+(?:\s+\S+)*?\s+-w\s*([^\s'"-][^\s'"]*)|\bcurl(?:\s+\S+)*?\s+-u\s*[\w.@-]+:([^\s'"]+)` +
	`|(?m:^[\w.*-]+:(?:\d+|\*):[\w.*-]+:[\w.*-]+:(\S+)$)`) // the last one is a line of .pgpass

// phrased are credentials in phrases.
func phrased(text string) []span {
	if !strings.Contains(text, "$") && !containsAny(strings.ToLower(text), "password", "identified", "sshpass", "mysql", "redis-cli", "mongo", "login", "ldap", "curl") && strings.Count(text, ":") < 4 {
		return nil
	}
	var spans []span
	for _, at := range phrases.FindAllStringSubmatchIndex(text, -1) {
		for group := 2; group < len(at); group += 2 {
			if at[group] >= 0 && !refers(text[at[group]:at[group+1]]) {
				spans = append(spans, span{at[group], at[group+1]})
			}
		}
	}
	return spans
}

// userPassword is what HTTP's basic authentication takes.
var userPassword = regexp.MustCompile(`^[\w.@-]+:[^\s/:]{3,}$`)

// passwordBehind is where the password of USER:PASSWORD begins; 0 if it is none.
func passwordBehind(name, text string) int {
	words := nameWords(name)
	if len(words) == 0 || words[len(words)-1] != "auth" || len(text) > longestToken || !userPassword.MatchString(text) {
		return 0
	}
	at := strings.IndexByte(text, ':') + 1
	if port(text[at:]) {
		return 0
	}
	return at
}

// manifestData are the values of a Secret's manifest in YAML.
func manifestData(text string) []span {
	if !strings.Contains(text, "kind: Secret") {
		return nil
	}
	var spans []span
	at, outer := 0, -1
	for line := range strings.Lines(text) {
		start := at
		at += len(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "data:" || trimmed == "stringData:":
			outer = indent
		case outer >= 0 && indent <= outer && trimmed != "":
			outer = -1
		case outer >= 0 && trimmed != "":
			if colon := strings.Index(line, ": "); colon >= 0 {
				indent = colon + len(": ")
			}
			if end := start + len(strings.TrimRight(line, " \r\n")); start+indent < end && !blockScalar(text[start+indent:]) {
				spans = append(spans, span{start + indent, end})
			}
		}
	}
	return spans
}

func containsAny(text string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// webhooks are places whose path is the secret.
var webhooks = []string{"hooks.slack.com/", "webhook.office.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "api.telegram.org/bot", "hooks.zapier.com/"}

// driver is how Go's MySQL driver ends a password.
var driver = regexp.MustCompile(`^@(?:tcp|tcp4|tcp6|udp|unix|cloudsql)\(`)

// userinfo are the passwords in URLs, in names of data sources, and the paths of
// webhooks.
func userinfo(text string) []span {
	var spans []span
	for at := 0; ; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			break
		}
		at += i + len("://")
		if s, ok := userinfoAt(text, at); ok {
			spans = append(spans, s)
			at = s.end
		}
	}
	for _, host := range webhooks {
		if i := strings.Index(text, host); i >= 0 {
			start := i + len(host)
			if end := start + wordEnd(text[start:]); end-start >= shortestRandom {
				spans = append(spans, span{start, end})
			}
		}
	}
	if !strings.Contains(text, "://") {
		spans = append(spans, schemeless(text)...)
	}
	return spans
}

// userinfoAt is the secret in what may stand before the @ of a URL, whose host or
// user begins at start. Passwords are found that hold what they should not: @, / and #.
func userinfoAt(text string, start int) (span, bool) {
	end := start + wordEnd(text[start:min(len(text), start+longestURL)])
	authority := end
	if i := strings.IndexAny(text[start:end], "/?#"); i >= 0 {
		authority = start + i
	}
	at := strings.LastIndexByte(text[start:authority], '@')
	colon := strings.IndexByte(text[start:end], ':')
	if at < 0 && colon >= 0 && !port(text[start+colon+1:end]) && text[start] != '[' {
		at = strings.LastIndexByte(text[start:end], '@') // beyond the slash
		if i := strings.LastIndexByte(text[start:end], '?'); i >= 0 && at > i {
			at = strings.LastIndexByte(text[start:start+i], '@')
		}
	}
	if at <= 0 {
		return span{}, false
	}
	if colon >= 0 && colon < at {
		s := span{start + colon + 1, start + at}
		return s, s.start < s.end && !refers(text[s.start:s.end])
	}
	user := text[start : start+at]
	return span{start, start + at}, random(user)
}

// longestURL is the number of bytes of one that are looked at: browsers and proxies
// take fewer.
const longestURL = 4096

// port reports whether what follows a host's colon is its port.
func port(text string) bool {
	n := 0
	for n < len(text) && digit(text[n]) {
		n++
	}
	return n > 0 && n <= 5 && (n == len(text) || strings.IndexByte("/?#,", text[n]) >= 0)
}

// wordEnd is where a URL ends.
func wordEnd(text string) int {
	if i := strings.IndexAny(text, " \t\r\n\"'`<>\\"); i >= 0 {
		return i
	}
	return len(text)
}

// schemeless finds USER:PASSWORD@HOST and USER:PASSWORD@tcp(HOST).
func schemeless(text string) []span {
	if strings.ContainsAny(text, " \t\n") || strings.Contains(text, "@sha") {
		return nil
	}
	at, colon := strings.LastIndexByte(text, '@'), strings.IndexByte(text, ':')
	if i := strings.Index(text, "@"); i >= 0 && driver.MatchString(text[i:]) {
		at = i
	}
	if slash := strings.IndexByte(text, '/'); slash >= 0 && at > slash && colon > at {
		colon = slash // Oracle's USER/PASSWORD@HOST:PORT
	}
	if colon <= 0 || at <= colon+1 || !validHost(text[at+1:]) || !plainUser.MatchString(text[:colon]) || refers(text[colon+1:at]) {
		return nil
	}
	return []span{{colon + 1, at}}
}

// plainUser is what stands before a password where no scheme says that it is a user.
var plainUser = regexp.MustCompile(`^[\w.+%\\-]{1,64}$`)

func validHost(text string) bool {
	text = strings.TrimLeft(text, "/")
	return text != "" && (letter(text[0]) || digit(text[0]) || text[0] == '[')
}
