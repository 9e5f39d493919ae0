package meaning

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

func text(s string) json.RawMessage { return quote(s) }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func zipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// structure is a value as JSON, whatever it reads better as.
func structure(v Value) string { return string(stripped(v).appendJSON(nil)) }

func stripped(v Value) *Value {
	if v.Decoded() {
		v.raw = nil
	}
	items := make([]Value, len(v.items))
	for i, item := range v.items {
		items[i] = *stripped(item)
	}
	v.items = items
	return &v
}

func TestOf(t *testing.T) {
	config := `{"vault":{"address":"https://vault:8200"},"pid_file":"/a"}`
	sorted := `{"pid_file":"/a","vault":{"address":"https://vault:8200"}}`
	certificates := certificate(t, "root-a") + certificate(t, "root-b")
	for _, tt := range []struct{ name, text, want string }{
		{"JSON", ` {"b":1.0, "a":[true,null,"x"]} `, `{"a":[true,null,"x"],"b":1}`},
		{"an empty object", `{}`, `{}`},
		{"spaces around", " a=1,b=2 ", `{"a":"1","b":"2"}`},
		{"JSON in JSON", `{"a":"{\"b\":1}"}`, `{"a":{"b":1}}`},
		{"base64 of JSON", b64(config), sorted},
		{"base64 of JSON, raw", strings.TrimRight(b64(config+" "), "="), sorted},
		{"base64 of JSON for URLs", base64.URLEncoding.EncodeToString([]byte(`{"a":"???>>>~~~"}`)), `{"a":"???>>>~~~"}`},
		{"base64 of JSON over several lines", b64(config)[:40] + "\n" + b64(config)[40:] + "\n", sorted},
		{"base64 of base64", b64(b64(config)), sorted},
		{"base64 of gzip", zipped(t, config), sorted},
		{"base64 of YAML", b64("a: 1\nb:\n- x\n"), `{"a":1,"b":["x"]}`},
		{"base64 of assignments", b64("level=info,format=json"), `{"format":"json","level":"info"}`},
		{"YAML", "# settings\nb: 2\na:\n  - x: yes\n    y: \"2\"\n  - 1.50\nc: ~\n", `{"a":[{"x":"yes","y":"2"},1.5],"b":2,"c":null}`},
		{"a YAML sequence", "- a\n- b\n", `["a","b"]`},
		{"properties", "# a comment\nserver.port = 8080\n\nurl=jdbc:h2:mem?a=b\n", `{"server.port":"8080","url":"jdbc:h2:mem?a=b"}`},
		{"OTEL_RESOURCE_ATTRIBUTES", "service.name=web,k8s.pod.name=$(POD_NAME),a=", `{"a":"","k8s.pod.name":"$(POD_NAME)","service.name":"web"}`},
		{"GODEBUG", "gctrace=1,netdns=go", `{"gctrace":"1","netdns":"go"}`},
		{"a connection string", "Endpoint=sb://shop.example.com/;SharedAccessKeyName=send;SharedAccessKey=YQ==", `{"Endpoint":"sb://shop.example.com/","SharedAccessKey":"YQ==","SharedAccessKeyName":"send"}`},
		{"a DSN", "host=db user=app options=a,b", `{"host":"db","options":["a","b"],"user":"app"}`},
		{"NO_PROXY", "localhost,127.0.0.1,.svc,*.internal,10.0.0.0/8", `["localhost","127.0.0.1",".svc","*.internal","10.0.0.0/8"]`},
		{"ports", "15090,15021,15020", `["15090","15021","15020"]`},
		{"DD_TAGS", "env:prod,team:a", `["env:prod","team:a"]`},
		{"a key twice", "dc=example,dc=com", `["dc=example","dc=com"]`},
		{"URLs", "http://a:2379,http://b:2379", `["http://a:2379","http://b:2379"]`},
		{"JAVA_TOOL_OPTIONS", "-Xmx512m -Da=b -XX:MaxRAMPercentage=75.0 -cp /a:/b", `["-Xmx512m","-Da=b","-XX:MaxRAMPercentage=75.0","-cp","/a:/b"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := Of(text(tt.text))
			if got := structure(v); got != tt.want || !v.Decoded() {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
	t.Run("certificates", func(t *testing.T) {
		for _, bundle := range []string{certificates, b64(certificates)} {
			v := Of(text(bundle))
			if len(v.items) != 2 || !strings.HasPrefix(string(v.items[0].raw), `"CN=root-a, 2026-01-01 to 2036-01-01, sha256 `) {
				t.Errorf("%s", structure(v))
			}
		}
	})
}

func TestOfIsALeaf(t *testing.T) {
	deep := `{"x":1}`
	for range maxTexts + 1 {
		deep = b64(deep)
	}
	for _, leafText := range []string{
		"", "a", "x=1", "true", "1,000", "12,345,678.90", "-1,000", "repo/app:1.2@sha256:" + strings.Repeat("0123abcd", 8),
		"https://example.com/?a=1&b=2,3", "https://example.com/?a=1,b=2", "postgres://app@db:5432/shop?sslmode=require", "mongodb://a:1,b:2/shop",
		strings.Repeat("0123abcd", 8), "deadbeefdeadbeef", "abcdefghijklmnop", "/usr/local/sbin/abcd", "AbCdEfGhIjKlMnOpQrStUvWx",
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "misc:error", "Hello, world", "a=b, then c=d, and e", "note: a sentence\nover two lines",
		"*/5 0,30 * * 1-5", "0,15,30,45 * * * *", "SELECT a,b FROM t WHERE x=1 AND y=2", "SELECT a,\n  b\nFROM t WHERE x=1",
		`<a b="c,d" e="f">g=h,i=j</a>`, "<a>\n  <b>x: y</b>\n</a>", "f(a,b)", "a{1,2}", "key: value", `say "a,b"`, "[section]\na=1\nb=2",
		"{{ with secret \"db\" }}\na: 1\nb: 2\n{{ end }}", "#!/bin/sh\nset -e\nA=1\necho $A", "a,,b", "a,", ",", "-", "--a", "-1 -2", "-a b c -d",
		"echo a=1 b=2", "a: &x [1]\nb: *x\n", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "a: !own 1\nb: 2\n", "? [a]\n: b\nc: d\n", `{"a":1,"a":2}`, `{"a":1} {"b":2}`,
		`{"a":`, "{a,b}", b64("hello world, hello"), b64("\x00\x01\x02\x03 binary, of course"), "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiYiJ9.c2lnbmF0dXJlc2ln",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n", beginCertificate + "\nAAAA\n-----END CERTIFICATE-----\n", deep, "H4sIAAAAAAAAA6vmAgBDv8WV",
		"Server=tcp:sql,1433;Database=shop;User ID=app;Password=b", "a=1&b=2", "data:text/plain;base64,YQ==", "Mozilla/5.0 (X11; Linux x86_64; rv:1.0)", "a='1,2',b=3", "sh -c 'a=1 b=2'",
	} {
		v := Of(text(leafText))
		if v.Decoded() || string(v.json()) != string(text(leafText)) {
			t.Errorf("%q means %s", leafText, structure(v))
		}
	}
	for _, raw := range []string{`1`, `true`, `null`, `"a\nb"`} {
		if v := Of(json.RawMessage(raw)); v.Decoded() || string(v.json()) != raw {
			t.Errorf("%s means %s", raw, v.json())
		}
	}
	if v := Of(nil); v.kind != absent || v.json() != nil {
		t.Errorf("nil means %s", v.json())
	}
}

func TestOfWhatPodsHold(t *testing.T) {
	for _, c := range append(masktest.Harmless(), masktest.Secrets(1)...) {
		v := Of(c.Value)
		if again := Of(v.json()); !json.Valid(v.json()) || !again.same(&v) {
			t.Errorf("%s means %s, which means %s", c.Value, v.json(), again.json())
		}
	}
}

func TestArguments(t *testing.T) {
	v := Of(json.RawMessage(`["proxy","--a=1","--b","2","-x","","--verbose","--c={\"d\":[1]}","--","--e"]`))
	if want := []string{"", "--a", "--b", "-x", "--verbose", "--c", "", ""}; !cmp.Equal(v.names, want) {
		t.Errorf("%q", v.names)
	}
	if got, want := structure(v), `["proxy","--a=1","--b","2","-x","","--verbose","--c={\"d\":[1]}","--","--e"]`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestBounds(t *testing.T) {
	wide := "[" + strings.Repeat(`0,`, maxNodes) + "0]"
	nested := strings.Repeat("[", maxDepth+2) + "1" + strings.Repeat("]", maxDepth+2)
	for name, leafText := range map[string]string{
		"nodes":          wide,
		"nodes, between": strings.Repeat("a,", maxNodes) + "b",
		"bytes":          `{"a":"` + strings.Repeat("x", maxBytes) + `"}`,
		"a gzip bomb":    zipped(t, `{"a":"`+strings.Repeat("x", 16*maxBytes)+`"}`),
		"YAML aliases":   "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\n",
		"YAML":           "a: 1\n" + strings.Repeat("# c\n", maxYAML/4) + "b: 1\n",
		"YAML nesting":   "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\nb: 1\n",
	} {
		if v := Of(text(leafText)); v.Decoded() {
			t.Errorf("%s: decoded", name)
		}
	}
	yaml := string(text("a: [b]\n" + strings.Repeat("# c\n", maxYAML/8)))
	if v := Of(json.RawMessage(`[[],` + strings.Repeat(yaml+",", 5) + `1]`)); v.Decoded() {
		t.Error("much YAML: decoded")
	}
	v := Of(json.RawMessage(nested))
	depth := 0
	for v.Decoded() {
		v = v.items[0]
		depth++
	}
	if depth != maxDepth || string(v.raw) != `[[1]]` {
		t.Errorf("%d levels, then %s", depth, v.raw)
	}
	long := `"` + strings.Repeat("x", maxBytes) + `"`
	if v := Of(json.RawMessage(long)); string(v.raw) != long {
		t.Error("a long text is not itself")
	}
}
