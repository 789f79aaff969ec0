package edge

import (
	"errors"
	"time"
)

// ErrMoved: the subscriber was asked to watch elsewhere.
var ErrMoved = errors.New("the subscriber was sent to another node")

// maxEars bounds those who listen to one subscriber's wishes of this node: a player that changes its network may have left
// one behind.
const maxEars = 2

// SendAway asks one subscriber to watch elsewhere, of those that were not asked before, and reports whether there was one. A
// subscriber that listens has grace to open its next session before this one ends; any other ends at once.
func (e *Edge) SendAway(grace time.Duration) bool {
	e.mu.Lock()
	var s *Subscriber
	for other := range e.subscribers {
		if !other.asked {
			s = other
			break
		}
	}
	if s == nil {
		e.mu.Unlock()
		return false
	}
	s.asked = true
	e.mu.Unlock()
	close(s.away)
	if s.ears.Load() == 0 {
		s.Close(ErrMoved)
		return true
	}
	time.AfterFunc(grace, func() { s.Close(ErrMoved) }) // it does nothing to one that has gone
	return true
}

// Staying is how many subscribers were not asked by SendAway.
func (e *Edge) Staying() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subscribers {
		if !s.asked {
			n++
		}
	}
	return n
}

// Listen says that somebody is told when Away is closed, until the returned function is called. It is false when as many
// listen already as make sense.
func (s *Subscriber) Listen() (done func(), ok bool) {
	if s.ears.Add(1) > maxEars {
		s.ears.Add(-1)
		return nil, false
	}
	return func() { s.ears.Add(-1) }, true
}

// Away is closed when the subscriber is to watch elsewhere.
func (s *Subscriber) Away() <-chan struct{} { return s.away }
