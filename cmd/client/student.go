package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxFallbacks bounds the fallbacks that are remembered of an answer.
	maxFallbacks = 8
	// hopsHeader tells how many links are between a node and the home of the room.
	hopsHeader = "Lyceum-Hops"
)

// student is one watcher over all their sessions.
type student struct {
	// Set by Watch, never changed.
	class *class

	// Guarded by mu.
	mu         sync.Mutex
	tally      tally      // of sessions that ended
	viewings   []*viewing // the present session and, for a moment, the one before
	before     *viewing   // ends when the present one has media
	bytes      uint64
	firstMedia time.Time
	lastMedia  time.Time
	longest    time.Duration
	watching   bool // a whole keyframe came
	reconnects int
	node       string
	hops       int   // -1 when not told
	err        error // of the last attempt

	// Owned by run.
	silent  int // sessions without media in a row
	seat    seat
	avoid   []string       // nodes that failed since the last media
	parting sync.WaitGroup // sessions, and requests that the student does not wait for
}

// run joins, watches, and joins again when a session ends: first at the node that served, then at its fallbacks, then where
// the class began. It returns when ctx is done or the student is refused for good.
func (s *student) run(ctx context.Context) {
	defer s.parting.Wait()
	plan := []option{{url: s.class.node}}
	pause := backoff{first: 100 * time.Millisecond, max: 2 * time.Second}
	for at := 0; ; {
		media, err := s.attempt(ctx, plan[at])
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.err = err
		never := s.firstMedia.IsZero()
		s.mu.Unlock()
		s.class.log.Debug("a student's session ended", "node", plan[at].url.Host, "err", err)
		switch {
		case media:
			plan, at, s.avoid = s.plan(), 0, nil
			pause.reset()
		case never && refused(err):
			return
		default:
			if id := plan[at].id; id != "" && !slices.Contains(s.avoid, id) {
				s.avoid = append(s.avoid, id)
			}
			if at++; at == len(plan) {
				at, s.avoid = 0, nil // all failed once; perhaps one is back
			}
		}
		if !rest(ctx, pause.next()) {
			return
		}
	}
}

// option is a node to join at; its id is empty where it is not known.
type option struct {
	id  string
	url *url.URL
}

// plan lists the nodes to join at after a session, each once.
func (s *student) plan() []option {
	var plan []option
	add := func(id string, u *url.URL) {
		if !slices.ContainsFunc(plan, func(o option) bool { return *u == *o.url }) {
			plan = append(plan, option{id, u})
		}
	}
	for i, p := range append([]place{s.seat.Edge}, s.seat.Fallbacks...) {
		if u, err := parseURL(p.URL); err == nil && i <= maxFallbacks {
			add(p.ID, u)
		}
	}
	add("", s.class.node)
	return plan
}

// attempt asks a node where to watch and watches there. It reports whether any media came, and why it ended.
func (s *student) attempt(ctx context.Context, at option) (media bool, err error) {
	c := s.class
	to, token, name := c.whep, c.cfg.Token, c.whep.Host
	if c.room != "" {
		asked := time.Now()
		seat, err := c.signal.join(ctx, at.url, c.room, c.cfg.Token, s.avoid)
		switch {
		case err == nil:
			c.joining.add(time.Since(asked))
			s.seat = seat
			if to, err = parseURL(seat.WHEP); err != nil {
				return false, err
			}
			if name = seat.Edge.ID; name == "" {
				name = to.Host
			}
			if seat.Ticket != "" || to.Scheme != c.whep.Scheme || to.Host != c.whep.Host {
				token = ""
			}
		case !errors.Is(err, errNoJoin):
			return false, fmt.Errorf("join: %w", err)
		}
	}
	v, err := newViewing(s)
	if err != nil {
		return false, err
	}
	over := make(chan error, 1)
	s.parting.Go(func() { over <- v.run(ctx, to, token, name) })
	select {
	case err = <-over:
	case <-v.moved: // it goes on until the next one has media
		err = errMoved
		s.mu.Lock()
		s.before = v
		s.mu.Unlock()
	}
	if media = v.media(); media {
		s.silent = 0
	} else {
		s.silent++
	}
	return media, err
}

// arrive notes that a session at a node stands. Its first media may be here already.
func (s *student) arrive(node string, a answered, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.hops, s.err = node, hopsOf(a.header), errors.New("connected, but no media came")
	if again {
		s.reconnects++
	}
}

// hopsOf reads how far a node is from the home of the room, -1 if it does not say.
func hopsOf(h http.Header) int {
	if n, err := strconv.Atoi(h.Get(hopsHeader)); err == nil && n >= 0 && n < 100 {
		return n
	}
	return -1
}
