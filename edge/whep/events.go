package whep

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"lyceum/routing/wish"
)

const (
	// eventTime bounds the writing of an event to a player that does not read.
	eventTime = 10 * time.Second
	// beatEvery keeps proxies, which end what is silent for a minute, from ending a stream of events, and finds players
	// that are gone.
	beatEvery = 25 * time.Second
)

// openEvents answers the request for a stream of events (the server-sent events extension of WHEP). There is one kind of
// event, "reconnect", and its stream is there already; whoever asks for other kinds gets this one.
func (s *session) openEvents(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return &wish.Error{Status: http.StatusMethodNotAllowed, Detail: "a stream of events is opened by POST"}
	}
	body, err := wish.ReadBody(w, r)
	if err != nil {
		return err
	}
	if body != "" {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return &wish.Error{Status: http.StatusUnsupportedMediaType, Detail: "the Content-Type must be application/json"}
		}
		var wanted []string
		if err := json.Unmarshal([]byte(body), &wanted); err != nil {
			return &wish.Error{Status: http.StatusBadRequest, Detail: `the body must be a list of events such as ["reconnect"]`}
		}
	}
	w.Header().Set("Location", "events") // beside .../sse
	w.WriteHeader(http.StatusCreated)
	return nil
}

// events is the stream: it says "reconnect" when the player is to open its next session elsewhere, and ends with this one.
func (s *session) events(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, OPTIONS")
		return &wish.Error{Status: http.StatusMethodNotAllowed, Detail: "a stream of events is read by GET"}
	}
	done, ok := s.s.Listen()
	if !ok {
		return &wish.Error{
			Status: http.StatusTooManyRequests, Detail: "the events of this session are being read already", RetryAfter: beatEvery,
		}
	}
	defer done()
	conn := http.NewResponseController(w)
	// The server's limits are for requests that end. A recorder in a test has none.
	_ = conn.SetReadDeadline(time.Time{})
	send := func(text string) bool {
		_ = conn.SetWriteDeadline(time.Now().Add(eventTime))
		_, err := io.WriteString(w, text)
		return err == nil && conn.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that collects answers would keep the event to itself
	w.WriteHeader(http.StatusOK)
	// Whoever is cut off asks again only when there is something to ask: the session ends with the node.
	if !send("retry: 5000\n\n") {
		return nil
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for away := s.s.Away(); ; {
		text := ":\n\n"
		select {
		case <-away:
			away, text = nil, "event: reconnect\ndata: {}\n\n"
		case <-beat.C:
		case <-s.s.Done():
			return nil
		case <-r.Context().Done():
			return nil
		}
		if !send(text) {
			return nil
		}
	}
}
