package wish

import (
	"net/http"
	"slices"
)

// What the other HTTP of a node has in common with the two protocols.

// Bearer finds the token in a request's Authorization header; it is "" when there is none.
func Bearer(r *http.Request) string { return bearer(r) }

// WriteError answers a request with an error: an *Error as it says, the errors of package ticket with their status, and
// any other with 500 and no detail.
func WriteError(w http.ResponseWriter, err error) { problemOf(err).write(w) }

// AllowOrigin lets pages of the given web origins read an answer; no origins means all.
func AllowOrigin(w http.ResponseWriter, r *http.Request, origins []string) {
	header := w.Header()
	header.Set("Access-Control-Expose-Headers", exposeHeaders)
	if len(origins) == 0 {
		header.Set("Access-Control-Allow-Origin", "*")
		return
	}
	header.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); slices.Contains(origins, origin) {
		header.Set("Access-Control-Allow-Origin", origin)
	}
}
