package whep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lyceum/edge"
	"lyceum/routing/wish"
)

// errDeleted is why a subscriber ends that asked for it.
var errDeleted = fmt.Errorf("it ended its session: %w", edge.ErrLeft)

// New makes the handler of /whep/ for an edge. It sets the Protocol and Start of cfg; the directions and the number of
// sections that an offer may have are those that wish.RulesFor gives for WHEP, unless cfg says otherwise.
func New(e *edge.Edge, cfg wish.Config) (*wish.Handler, error) {
	if e == nil {
		return nil, errors.New("serve whep: nothing serves subscribers: the edge is missing")
	}
	cfg.Protocol = wish.WHEP
	cfg.Start = func(ctx context.Context, rq wish.Request) (wish.Session, string, error) {
		s, answer, err := e.Subscribe(ctx, edge.SubscribeRequest{
			Room: rq.Room, Subject: rq.Grant.Subject, Name: rq.Grant.Name, Offer: rq.Offer,
		})
		if err != nil {
			return nil, "", refusal(err)
		}
		return &session{s: s, offer: rq.Offer}, answer, nil
	}
	return wish.New(cfg)
}

// refusal gives the errors of an edge their status. None is 400 or 406: some players take these as an invitation to try
// again without sound, or to wait for an offer of the server.
func refusal(err error) error {
	switch {
	case errors.Is(err, edge.ErrFull):
		return &wish.Error{Status: http.StatusServiceUnavailable, Detail: edge.ErrFull.Error(), RetryAfter: 5 * time.Second}
	case errors.Is(err, edge.ErrOffer):
		return &wish.Error{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	case errors.Is(err, edge.ErrNoLayer):
		return &wish.Error{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	case errors.Is(err, edge.ErrClosed):
		return &wish.Error{Status: http.StatusServiceUnavailable, Detail: edge.ErrClosed.Error(), RetryAfter: 2 * time.Second}
	}
	return err
}

// session is a subscriber as wish sees it.
type session struct {
	s     *edge.Subscriber
	offer string // of the present ICE generation
}

// Trickle adds candidates of the client.
func (s *session) Trickle(f wish.Fragment) error {
	s.s.Trickle(f.Candidates)
	return nil
}

// Restart begins a new ICE generation. A fragment that cannot be answered leaves the session as it is.
func (s *session) Restart(ctx context.Context, f wish.Fragment) (wish.Fragment, error) {
	offer := f.Into(s.offer)
	answer, err := s.s.Restart(ctx, offer)
	if err != nil {
		return wish.Fragment{}, refusal(err)
	}
	s.offer = offer
	return wish.FragmentOf(answer)
}

// Describe tells what is shown, how far the home of the room is once that is known, and where a new session has its events.
func (s *session) Describe(h http.Header) {
	if at := h.Get("Location"); at != "" {
		h.Add("Link", "<"+at+`/sse>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="reconnect"`)
	}
	h.Set(wish.HeaderPicture, s.s.Showing().String())
	if hops, ok := s.s.Hops(); ok {
		h.Set(wish.HeaderHops, strconv.Itoa(hops))
	}
}

// Close ends the subscriber by its own wish.
func (s *session) Close() { s.s.Close(errDeleted) }

// Done is closed when the subscriber has ended.
func (s *session) Done() <-chan struct{} { return s.s.Done() }
