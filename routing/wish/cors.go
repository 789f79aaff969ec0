package wish

import "net/http"

// The headers that pages of other origins may send and read. Some clients send ETag where If-Match is meant, and decide
// from the methods whether the node takes trickled candidates, so all answers to OPTIONS carry them.
const (
	allowMethods  = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"
	allowHeaders  = "Authorization, Content-Type, If-Match, If-None-Match, ETag"
	exposeHeaders = "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate, " + HeaderHops + ", " + HeaderPicture
)

// cors lets pages of the allowed origins read the answer, errors included. A URL that is itself the right to use it (a
// ticket, a session) is open to all: after a redirect across origins a browser no longer says where a page is from.
func (h *Handler) cors(w http.ResponseWriter, r *http.Request, capability bool) {
	origins := h.cfg.Origins
	if capability {
		origins = nil
	}
	AllowOrigin(w, r, origins)
}

// options answers OPTIONS, a browser's preflight or not, to anybody.
func options(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", allowMethods)
	h.Set("Access-Control-Allow-Headers", allowHeaders)
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Allow", allowMethods)
	h.Set("Accept-Post", typeSDP)
	h.Set("Accept-Patch", typeFragment)
	w.WriteHeader(http.StatusOK)
}
