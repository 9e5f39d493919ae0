package service

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// hosts are the names by which the page may be called, beside those of the
// machine itself. Whoever's name resolves to 127.0.0.1 has a browser on this
// machine ask here, as a page of theirs (DNS rebinding): a port-forward would
// show them the cluster. Their name is in the request's Host.
type hosts []string

// newHosts fails on what no Host can be. Names are without a port: any is right.
func newHosts(names []string) (hosts, error) {
	var known hosts
	for _, name := range names {
		host := strings.ToLower(strings.TrimSuffix(name, "."))
		if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			known = append(known, address.String())
			continue
		}
		if problems := validation.IsDNS1123Subdomain(host); len(problems) > 0 {
			return nil, fmt.Errorf("--page-host %q: give a DNS name or an IP address, without a port", name)
		}
		known = append(known, host)
	}
	return known, nil
}

// only serves requests for these hosts.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.know(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, fmt.Sprintf("The page is not called %q here. Where it is meant to be reached by that name, give serve --page-host with it; localhost always works.", r.Host), http.StatusMisdirectedRequest)
	})
}

// know reports whether a Host, with or without a port, is one of these or of the
// machine itself: localhost and names below it (RFC 6761, 6.3), 127.0.0.0/8, ::1.
func (h hosts) know(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback() || slices.Contains(h, address.String())
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h, host)
}
