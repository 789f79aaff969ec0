package wish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lyceum/routing/ticket"
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"

	// maxBody bounds every body. The largest offer of a browser has some 10 kB.
	maxBody = 128 << 10
	// maxSource bounds the name of a source.
	maxSource = 32
	// bodyTime is how long a client may take to send a body.
	bodyTime = 10 * time.Second
	// startTime bounds the making of a session; OBS gives up after 8 s.
	startTime = 8 * time.Second
	// turnTime is how long a POST waits for its turn: players and people take a second for a part of the start, and a node
	// that needs longer has more to do than a moment's rush.
	turnTime = 1500 * time.Millisecond
)

// Handler serves one of the two protocols below /whip/ or /whep/.
type Handler struct {
	// Set by New, never changed.
	cfg     Config
	prefix  string
	metrics *metrics
	pending chan struct{} // holds one token for each POST in the making
	waiting atomic.Int64  // POSTs that wait for their turn
	watches sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	sessions map[string]*entry
	closed   bool
}

// New makes a handler without sessions.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("serve %s: %w", cfg.Protocol, err)
	}
	cfg.Base = strings.TrimSuffix(cfg.Base, "/")
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 64
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 1024
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Client == nil {
		cfg.Client = remoteAddr
	}
	if cfg.Rules.Directions == nil {
		cfg.Rules = RulesFor(cfg.Protocol)
	}
	h := &Handler{
		cfg: cfg, prefix: "/" + cfg.Protocol.String() + "/", pending: make(chan struct{}, cfg.MaxPending),
		sessions: map[string]*entry{},
	}
	h.metrics = newMetrics(cfg.Registerer, cfg.Protocol, h)
	return h, nil
}

// Sessions is how many sessions there are now.
func (h *Handler) Sessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// Close ends all sessions, waits for their end, and refuses new ones.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	entries := make([]*entry, 0, len(h.sessions))
	for _, e := range h.sessions {
		entries = append(entries, e)
	}
	h.mu.Unlock()
	for _, e := range entries {
		e.session.Close()
	}
	h.watches.Wait()
}

// ServeHTTP serves the endpoint of a room, /whip/{room} or /whip/{room}/ticket/{ticket}, and its sessions,
// /whip/{room}/session/{id}, with what these have below.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	defer func() { h.metrics.count(r.Method, rec.status) }()
	err := h.serve(rec, r)
	if err == nil {
		return
	}
	e := problemOf(err)
	if e.Status == http.StatusInternalServerError {
		h.cfg.Logger.Error("request failed", "protocol", h.cfg.Protocol.String(), "method", r.Method, "err", err)
	}
	e.write(rec)
}

// serve finds out which resource is meant.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, h.prefix)
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	extension := len(parts) == 4 && parts[1] == "session"
	sub := len(parts) == 3 || extension
	h.cors(w, r, sub)
	switch {
	case !ok, len(parts) != 1 && !sub, sub && parts[1] != "ticket" && parts[1] != "session":
		return refuse(http.StatusNotFound, "there is nothing at this path; use %s{room}", h.prefix)
	case r.Method == http.MethodOptions:
		options(w)
		return nil
	case extension:
		return h.extend(w, r, parts[0], parts[2], parts[3])
	case sub && parts[1] == "session":
		return h.serveSession(w, r, parts[0], parts[2])
	}
	room, raw := parts[0], ""
	if sub {
		raw = parts[2]
	}
	if err := ticket.ValidRoom(room); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPost:
		return h.post(w, r, room, raw)
	case http.MethodGet, http.MethodHead:
		h.empty(w)
		return nil
	}
	return notAllowed(w, r)
}

// empty answers GET and HEAD without content (RFC 9725, section 4.1; for WHEP the answer names the type of an offer).
func (h *Handler) empty(w http.ResponseWriter) {
	w.Header().Set("Accept-Post", typeSDP)
	if h.cfg.Protocol == WHEP {
		w.Header().Set("Content-Type", typeSDP)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func notAllowed(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Allow", allowMethods)
	return refuse(http.StatusMethodNotAllowed, "%.20s is not possible here", r.Method)
}

// post makes a session. What is cheap to refuse is refused first, and a ticket is used up only by an offer that was read.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, room, raw string) error {
	began := time.Now()
	if err := contentType(w, r, typeSDP, "Accept-Post"); err != nil {
		return err
	}
	source := r.URL.Query().Get("source")
	if len(source) > maxSource {
		return refuse(http.StatusBadRequest, "the source is longer than %d bytes", maxSource)
	}
	var grant ticket.Grant
	var err error
	if raw == "" {
		// Who asks comes before what is asked: a stranger learns nothing about the node.
		if grant, err = h.cfg.Authorize(r, room, bearer(r)); err != nil {
			return err
		}
	}
	body, err := ReadBody(w, r)
	if err != nil {
		return err
	}
	offer, err := CheckOffer(body, h.cfg.Rules)
	if err != nil {
		return err
	}
	if raw != "" {
		if grant, err = h.redeem(room, raw); err != nil {
			return err
		}
	} else if to, err := h.redirect(r, room, grant); err != nil {
		return err
	} else if to != "" {
		if source != "" {
			to += "?source=" + url.QueryEscape(source)
		}
		w.Header().Set("Location", to)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	if !h.takeTurn(r.Context()) {
		return &Error{Status: http.StatusServiceUnavailable, Detail: "too many people are joining this node at once", RetryAfter: time.Second}
	}
	defer func() { <-h.pending }()
	if err := h.room(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), startTime)
	defer cancel()
	s, answer, err := h.cfg.Start(ctx, Request{Room: room, Source: source, Grant: grant, Offer: offer.SDP, Client: h.cfg.Client(r)})
	if err != nil {
		return err
	}
	answer, err = Answer(answer)
	if err != nil {
		s.Close()
		return err
	}
	e, err := h.add(room, s, offer)
	if err != nil {
		s.Close()
		return err
	}
	head := w.Header()
	head.Set("Content-Type", typeSDP)
	head.Set("Location", h.base(r)+h.prefix+room+"/session/"+e.id)
	head.Set("ETag", e.tag)
	head.Set("Accept-Patch", typeFragment)
	describe(w, s)
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a client that is gone does not start ICE, and its session ends
	h.metrics.started(time.Since(began))
	return nil
}

// describe adds what a session says of itself.
func describe(w http.ResponseWriter, s Session) {
	if d, ok := s.(Describer); ok {
		d.Describe(w.Header())
	}
}

func (h *Handler) redeem(room, raw string) (ticket.Grant, error) {
	if h.cfg.Redeem == nil {
		return ticket.Grant{}, refuse(http.StatusNotFound, "this node takes no tickets")
	}
	return h.cfg.Redeem(room, raw)
}

func (h *Handler) redirect(r *http.Request, room string, g ticket.Grant) (string, error) {
	if h.cfg.Redirect == nil {
		return "", nil
	}
	return h.cfg.Redirect(r, room, g)
}

// takeTurn waits until a session may be made, first come first served, and reports whether it may.
func (h *Handler) takeTurn(ctx context.Context) bool {
	select {
	case h.pending <- struct{}{}:
		return true
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(h.cfg.MaxWaiting) {
		return false
	}
	enough := time.NewTimer(turnTime)
	defer enough.Stop()
	select {
	case h.pending <- struct{}{}:
		return true
	case <-enough.C:
	case <-ctx.Done():
	}
	return false
}

// room says whether one more session has room here. It is asked again when the session is there.
func (h *Handler) room() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.roomLocked()
}

func (h *Handler) roomLocked() error {
	switch {
	case h.closed:
		return &Error{Status: http.StatusServiceUnavailable, Detail: "this node is shutting down", RetryAfter: 2 * time.Second}
	case h.cfg.MaxSessions > 0 && len(h.sessions) >= h.cfg.MaxSessions:
		return &Error{Status: http.StatusServiceUnavailable, Detail: "this node is full", RetryAfter: 10 * time.Second}
	}
	return nil
}

func (h *Handler) base(r *http.Request) string {
	if h.cfg.Base != "" {
		return h.cfg.Base
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// bearer finds the token in the Authorization header. Some clients send it without a scheme, and some send the word
// "undefined" when they have none.
func bearer(r *http.Request) string {
	value := strings.TrimSpace(r.Header.Get("Authorization"))
	scheme, token, found := strings.Cut(value, " ")
	switch {
	case found && !strings.EqualFold(scheme, "bearer"):
		return ""
	case !found:
		token = value
	}
	token = strings.TrimSpace(token)
	if slices.Contains([]string{"undefined", "null", "bearer"}, strings.ToLower(token)) {
		return ""
	}
	return token
}

// contentType holds the request to one type, and says in the given header which.
func contentType(w http.ResponseWriter, r *http.Request, want, accept string) error {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || got != want {
		w.Header().Set(accept, want)
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type must be %s", want)
	}
	return nil
}

// ReadBody reads the body of a request, of at most 128 kB and within 10 s. Its errors are for the client.
func ReadBody(w http.ResponseWriter, r *http.Request) (string, error) {
	// A recorder in a test has no deadline; every connection has.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", err
		}
		return "", refuse(http.StatusBadRequest, "the body could not be read to its end")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return string(body), nil
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// recorder remembers the status for the metrics.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
