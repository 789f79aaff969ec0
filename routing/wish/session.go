package wish

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// entry is a session and what its URL needs to know.
type entry struct {
	// Set by add, never changed.
	id, room string
	session  Session

	turn sync.Mutex // PATCH by PATCH
	// Guarded by turn.
	tag        string   // the entity tag of the present ICE generation, in quotes
	ufrag, pwd string   // the client's credentials of the present generation
	candidates []string // and its candidates
	old        []string // its former ufrags, the newest last
}

// maxOld bounds the former ufrags that are remembered.
const maxOld = 8

// add gives a session its URL, and removes it when it ends.
func (h *Handler) add(room string, s Session, o Offer) (*entry, error) {
	e := &entry{id: rand.Text(), room: room, session: s, tag: newTag(), ufrag: o.Ufrag, pwd: o.Pwd, candidates: o.Candidates}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.roomLocked(); err != nil {
		return nil, err
	}
	h.sessions[e.id] = e
	h.watches.Go(func() {
		<-s.Done()
		if h.remove(e) {
			h.metrics.ends.WithLabelValues("loss").Inc()
		}
	})
	return e, nil
}

// remove forgets a session, and reports whether it was there.
func (h *Handler) remove(e *entry) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[e.id] != e {
		return false
	}
	delete(h.sessions, e.id)
	return true
}

func newTag() string { return `"` + rand.Text()[:16] + `"` }

// find returns the session of a URL.
func (h *Handler) find(room, id string) (*entry, error) {
	h.mu.Lock()
	e := h.sessions[id]
	h.mu.Unlock()
	if e == nil || e.room != room {
		return nil, refuse(http.StatusNotFound, "there is no such session; it may have ended")
	}
	return e, nil
}

// extend serves what a session has below its URL.
func (h *Handler) extend(w http.ResponseWriter, r *http.Request, room, id, name string) error {
	e, err := h.find(room, id)
	if err != nil {
		return err
	}
	if x, ok := e.session.(Extended); ok {
		return x.Extend(w, r, name)
	}
	return refuse(http.StatusNotFound, "there is nothing below this session")
}

// serveSession serves a session's URL. Its random name is the right to use it, so no token is asked for: browsers drop
// the token on the way through a redirect, and some clients never send it here.
func (h *Handler) serveSession(w http.ResponseWriter, r *http.Request, room, id string) error {
	e, err := h.find(room, id)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodDelete:
		// Entity tags say nothing about DELETE (RFC 9725, section 4.3), and clients expect 200 exactly.
		if h.remove(e) {
			h.metrics.ends.WithLabelValues("client").Inc()
		}
		e.session.Close()
		w.WriteHeader(http.StatusOK)
		return nil
	case http.MethodPatch:
		return h.patch(w, r, e)
	case http.MethodGet, http.MethodHead:
		w.Header().Set("Accept-Patch", typeFragment)
		describe(w, e.session)
		h.empty(w)
		return nil
	}
	return notAllowed(w, r)
}

// patch trickles candidates or restarts ICE. Which of the two is decided by the credentials in the fragment alone: some
// clients trickle with "If-Match: *".
func (h *Handler) patch(w http.ResponseWriter, r *http.Request, e *entry) error {
	if err := contentType(w, r, typeFragment, "Accept-Patch"); err != nil {
		return err
	}
	match := strings.Join(r.Header.Values("If-Match"), ",")
	if match == "" {
		match = r.Header.Get("ETag") // one client means If-Match by it
	}
	if match == "" {
		return refuse(http.StatusPreconditionRequired, "a PATCH needs If-Match with the ETag of the session")
	}
	body, err := ReadBody(w, r)
	if err != nil {
		return err
	}
	f, err := ParseFragment(body)
	if err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	if !matches(match, e.tag) || slices.Contains(e.old, f.Ufrag) {
		return refuse(http.StatusPreconditionFailed, "the PATCH belongs to an earlier ICE generation of the session")
	}
	if f.Ufrag == "" || f.Ufrag == e.ufrag && f.Pwd == e.pwd {
		if err := e.trickle(f); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return e.restart(w, r, f)
}

// trickle is called with turn held. It passes on the candidates that are new. They are bounded, since the node sends
// checks to each address that a client names.
func (e *entry) trickle(f Fragment) error {
	fresh := slices.DeleteFunc(f.Candidates, func(c string) bool { return slices.Contains(e.candidates, c) })
	if len(e.candidates)+len(fresh) > maxCandidates {
		return refuse(http.StatusBadRequest, "the session has named more than %d candidates", maxCandidates)
	}
	f.Candidates = fresh
	if err := e.session.Trickle(f); err != nil {
		return err
	}
	e.candidates = append(e.candidates, fresh...)
	return nil
}

// restart is called with turn held.
func (e *entry) restart(w http.ResponseWriter, r *http.Request, f Fragment) error {
	ctx, cancel := context.WithTimeout(r.Context(), startTime)
	defer cancel()
	answer, err := e.session.Restart(ctx, f)
	if err != nil {
		return err
	}
	if answer.Options == "" {
		answer.Options = iceOptions
	}
	e.old = append(e.old, e.ufrag)
	e.old = e.old[max(0, len(e.old)-maxOld):]
	e.ufrag, e.pwd, e.candidates, e.tag = f.Ufrag, f.Pwd, f.Candidates, newTag()
	w.Header().Set("ETag", e.tag)
	w.Header().Set("Content-Type", typeFragment)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(answer.String())) // the client may be gone
	return nil
}

// matches reports whether an If-Match header is met. The RFC's example writes the star in quotes, and some clients drop
// the quotes of a tag.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		switch strings.Trim(strings.TrimSpace(part), `"`) {
		case "*", strings.Trim(tag, `"`):
			return true
		}
	}
	return false
}
