package link

import (
	"time"

	"lyceum/mesh/wire"
)

const (
	// partLimit bounds how long a node that ends waits for its children to go elsewhere.
	partLimit = time.Second
	// partPoll is how often it looks whether they have.
	partPoll = 10 * time.Millisecond
	// drainTime is the deadline that a node which drains gives its children.
	drainTime = 30 * time.Second
	// maxAlternatives bounds the nodes that are named to those who have to go elsewhere.
	maxAlternatives = 8
)

// Drain asks all children, those of today and those to come, to get their tracks elsewhere. They are served until they
// have gone. Rooms whose home is this node stay: nobody else can take its place for them.
func (l *Links) Drain() {
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()
	l.goAway(drainTime)
}

// Undrain lets children come again.
func (l *Links) Undrain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = false
}

// goAway tells the children that this node is about to leave.
func (l *Links) goAway(within time.Duration) {
	ups, downs := l.all()
	var others []string
	for _, u := range ups {
		if len(others) < maxAlternatives && u.ctx.Err() == nil {
			others = append(others, u.peer)
		}
	}
	for _, d := range downs {
		d.send(&wire.GoAway{Deadline: uint64(within.Milliseconds()), Alternatives: others})
	}
}

// part sends the children away and waits until none gets anything any more that it can get elsewhere.
func (l *Links) part() {
	l.goAway(partLimit)
	tick := time.NewTicker(partPoll)
	defer tick.Stop()
	for end := time.Now().Add(partLimit); l.needed() && time.Now().Before(end); {
		<-tick.C
	}
}

// needed reports whether a child still gets something for which this node is not the home.
func (l *Links) needed() bool {
	_, downs := l.all()
	for _, d := range downs {
		if d.ctx.Err() != nil {
			continue
		}
		for _, s := range d.list() {
			s.mu.Lock()
			wants := s.wants
			s.mu.Unlock()
			if wants != 0 && s.track.State().Hops > 0 {
				return true
			}
		}
	}
	return false
}
