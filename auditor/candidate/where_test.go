package candidate

import "testing"

func TestParseWhere(t *testing.T) {
	for text, want := range map[string]string{
		"https://localhost:15017/inject":          "https://localhost:15017/inject",
		"https://injector.example.com":            "https://injector.example.com",
		"svc/istio-system/istiod-1-28:443/inject": "svc/istio-system/istiod-1-28:443/inject",
		"svc/istio-system/istiod":                 "svc/istio-system/istiod:443",
		"svc/a/b/inject/x=y":                      "svc/a/b:443/inject/x=y",
		"exec: docker run -i x ":                  "exec:docker run -i x",
	} {
		where, err := ParseWhere(text)
		if err != nil || where.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, where, err, want)
		}
	}
	for _, text := range []string{
		"", "localhost:15017", "http://localhost/inject", "https://", "https://user:pass@host/", "https://host/?a=b", "https://host/#a", "https://[",
		"svc/", "svc/a", "svc/a/", "svc/a/b:", "svc/a/b:0", "svc/a/b:70000", "svc/A/b", "svc/a/b.c:1", "exec:", "exec:  ",
	} {
		if where, err := ParseWhere(text); err == nil {
			t.Errorf("%q is taken for %s", text, where)
		}
	}
}
