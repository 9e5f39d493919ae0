package notify

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// Whatever goes wrong, nothing shows the address of a sink.
func TestSecretsAreNeverShown(t *testing.T) {
	const escaped = "T0KEN%2D9f8e7d6c5b4a" // the secret, too
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "bad_token ", r.URL)
	})
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.com/"+secret, http.StatusPermanentRedirect)
	})
	malformed := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://gateway:$port"+r.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	garbled := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
			fmt.Fprint(connection, r.URL.RequestURI(), "\r\n\r\n")
			_ = connection.Close() // the client sees that it has ended
		}
	})
	silent := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = connection.Close()
		}
	})
	host := func(s *server) string { return strings.TrimPrefix(s.URL, "http://") }
	for _, tt := range []struct {
		kind Kind
		url  string
		want string
	}{
		{ToWebhook, "http://" + nobody + "/" + secret, "connection refused"},
		{ToWebhook, "http://user:" + secret + "@" + nobody + "/?token=" + secret, "connection refused"},
		{ToSlack, echo.URL + "/services/" + secret, "it answers 403 Forbidden"},
		{ToSlack, elsewhere.URL + "/services/" + secret, "it redirects to another host"},
		{ToSlack, malformed.URL + "/services/" + secret, "its answer is no valid one"},
		{ToWebhook, malformed.URL + "/%53ervices/" + escaped + "?token=" + secret, "its answer is no valid one"},
		{ToSlack, garbled.URL + "/services/" + secret, "its answer is no valid one"},
		{ToSlack, silent.URL + "/services/" + secret, "EOF"},
		{ToSlack, "https://" + host(echo) + "/services/" + secret, "server gave HTTP response to HTTPS client"},
		{ToWebhook, "http://host.invalid/%zz" + secret, "is no URL that begins with https:// or http://"},
		{ToWebhook, "ftp://host.invalid/" + secret, "is no URL that begins with https:// or http://"},
		{ToWebhook, "https://host.invalid:" + secret + "/", "is no URL that begins with https:// or http://"},
		{ToShoutrrr, "ntfy://" + nobody + "/" + secret + "?scheme=http", "connection refused"},
		{ToShoutrrr, "ntfy://:" + secret + "@" + host(echo) + "/" + secret + "?scheme=http", "it answers 403 Forbidden"},
		{ToShoutrrr, "gotify://" + nobody + "/" + secret + "?disabletls=yes", "shoutrrr"},
		{ToShoutrrr, "telegram://" + secret, "shoutrrr does not take the URL"},
		{ToShoutrrr, "unheard://" + secret, "is of no service that shoutrrr knows"},
		{ToShoutrrr, "generic+https://host.invalid/" + secret, "give its own URL, and the kind webhook"},
		{ToShoutrrr, "ntfy://host.invalid/" + secret + "?disabletlsverification=yes", "leaves TLS unverified"},
		{ToShoutrrr, "://" + secret, "is no URL of a service"},
	} {
		n := start(t, Settings{Name: "hook", Kind: tt.kind, URLFile: file(t, tt.url+"\n")})
		n.Tell(drifted(1))
		n.becomes(t, 1, "hook failed")
		logged := n.logged()
		contains(t, logged, tt.want)
		if strings.Contains(logged, secret) || strings.Contains(logged, escaped) {
			t.Errorf("the log shows the secret: %s", logged)
		}
		if err := CheckURL(tt.kind, tt.url); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// The address may be changed at any time, and comes from a file, a variable or the
// configuration.
func TestWhereTheAddressComesFrom(t *testing.T) {
	one, two := serve(t, nil), serve(t, nil)
	where := file(t, "  "+one.URL+"\n")
	n := start(t, Settings{Name: "hook", Kind: ToWebhook, URLFile: where})
	n.Tell(drifted(1))
	one.next(t)
	if err := os.WriteFile(where, []byte(two.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Tell(drifted(1))
	two.next(t)
	t.Setenv("NOTIFY_TEST_URL", one.URL)
	n = start(t, Settings{Name: "hook", Kind: ToWebhook, URLEnv: "NOTIFY_TEST_URL"})
	n.Tell(drifted(1))
	one.next(t)
	t.Setenv("NOTIFY_TEST_URL", "")
	n.Tell(drifted(1))
	n.becomes(t, 1, "hook failed")
	contains(t, n.logged(), "the URL is empty: see urlFile, urlEnv or url")
}
