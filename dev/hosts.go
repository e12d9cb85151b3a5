package dev

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// Hosts are the names under which everything of dev is served.
func Hosts() []string { return []string{"localhost", "127.0.0.1", "::1"} }

// OnlyLocal answers 421 (RFC 9110 section 15.5.20) to a request for any other host. A site can point its own name at 127.0.0.1, or
// at a container's address, and would otherwise be of the same origin as what answers there.
func OnlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !slices.Contains(Hosts(), strings.ToLower(strings.Trim(host, "[]"))) {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "421: this server answers only for localhost, 127.0.0.1 and [::1]", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
