package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// eventsRel is how a WHEP server names the stream of a session's events.
	eventsRel = "urn:ietf:params:whep:ext:core:server-sent-events"
	// maxEvents bounds a stream of events in bytes; a beat is some bytes in half a minute.
	maxEvents = 1 << 20
	// listenAfter is the time within which a student begins to listen, at a moment of its own: a class that has just
	// come in has its node's whole attention for itself.
	listenAfter = time.Second
)

// errMoved is why a session ends that another one takes the place of, by the node's wish.
var errMoved = errors.New("the node asked to watch elsewhere")

// eventsURL finds where the events of a session are asked for, or nil if the server offers none.
func eventsURL(a answered) *url.URL {
	if a.resource == nil {
		return nil
	}
	for _, link := range a.header.Values("Link") {
		target, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if ok && strings.Contains(rest, eventsRel) {
			if u, err := a.resource.Parse(target); err == nil && u.Host == a.resource.Host {
				return u
			}
		}
	}
	return nil
}

// listenForMove tells moved, by closing it, when the node asks for another session. It returns when the stream ends or ctx is done.
func (v *viewing) listenForMove(ctx context.Context, a answered) {
	at := eventsURL(a)
	if at == nil || !rest(ctx, rand.N(listenAfter)) {
		return
	}
	asked, err := v.student.class.signal.reconnect(ctx, at, a.token)
	if asked {
		close(v.moved)
	} else if ctx.Err() == nil {
		v.student.class.log.Debug("the events of a session cannot be heard", "node", a.host, "err", err)
	}
}

// reconnect opens a stream of events and waits for the one that asks for another session.
func (s *signaller) reconnect(ctx context.Context, to *url.URL, token string) (bool, error) {
	resp, body, err := s.do(ctx, http.MethodPost, to, token, "application/json", []byte(`["reconnect"]`))
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusCreated {
		return false, statusError(to.Host, resp, body)
	}
	stream, err := to.Parse(resp.Header.Get("Location"))
	if err != nil || stream.Host != to.Host {
		return false, fmt.Errorf("%s names a stream of events at an address that is not its own", to.Host)
	}
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, stream.String(), nil)
	if err != nil {
		return false, fmt.Errorf("ask %s: %w", to.Host, plain(err))
	}
	rq.Header.Set("Accept", "text/event-stream")
	if token != "" {
		rq.Header.Set("Authorization", "Bearer "+token)
	}
	if resp, err = s.http.Do(rq); err != nil {
		return false, fmt.Errorf("ask %s: %w", to.Host, plain(err))
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		return false, statusError(to.Host, resp, nil)
	}
	event := ""
	lines := bufio.NewScanner(io.LimitReader(resp.Body, maxEvents))
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		switch {
		case field == "event":
			event = strings.TrimPrefix(value, " ")
		case lines.Text() == "":
			if event == "reconnect" {
				return true, nil
			}
			event = ""
		}
	}
	return false, fmt.Errorf("the events of %s ended: %w", to.Host, errors.Join(lines.Err(), io.EOF))
}
