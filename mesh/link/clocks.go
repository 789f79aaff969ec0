package link

import (
	"time"

	"lyceum/mesh/wire"
)

const (
	// clockSamples is how many heartbeats the difference of two clocks is chosen from: those of 5 s.
	clockSamples = 25
	// clockSet is how far a clock must jump back to count as set; less is one heartbeat that overtook another.
	clockSet = int64(10 * time.Second / time.Microsecond)
)

// clocks compares the clocks of the two ends of a link. Of the samples of some seconds the one with the shortest round trip
// counts: what waited in a queue one way and not the other is wrong by half of the wait. What is left is half of what the
// ways differ by themselves, which no clock filter can see.
type clocks struct {
	samples [clockSamples]clockSample
	n       int
}

type clockSample struct {
	rtt, offset int64 // µs
}

// take adds a sample and returns the offset to be used.
func (c *clocks) take(s clockSample) (offset int64) {
	c.samples[c.n%clockSamples] = s
	c.n++
	best := s
	for _, other := range c.samples[:min(c.n, clockSamples)] {
		if other.rtt < best.rtt {
			best = other
		}
	}
	return best.offset
}

// heartbeat takes one that came.
func (l *link) heartbeat(h wire.Heartbeat) {
	l.came.Add(1)
	now := l.links.cfg.Clock().UnixMicro()
	l.mu.Lock()
	defer l.mu.Unlock()
	set := l.echo.Echo-h.Sent > clockSet
	fresh := h.Sent > l.echo.Echo || set
	if fresh {
		l.arrived.Store(h.Heard)
		l.echo.Echo, l.echo.Came = h.Sent, now
	}
	if !fresh || h.Echo == 0 {
		return // the copy from the other stripe, or the first
	}
	rtt := now - h.Echo - (h.Sent - h.Came)
	if rtt < 0 || rtt > int64(time.Minute/time.Microsecond) || set {
		l.clocks = clocks{} // one of the clocks was set
		return
	}
	ns := rtt * int64(time.Microsecond)
	if old := l.rtt.Load(); old != 0 {
		ns = old + (ns-old)/8
	}
	l.offset.Store(l.clocks.take(clockSample{rtt, (h.Came - h.Echo + h.Sent - now) / 2}))
	l.rtt.Store(max(ns, 1))
}

// ahead is how far the peer's clock is ahead of this node's, in µs, as soon as heartbeats have gone both ways.
func (l *link) ahead() (micros int64, known bool) {
	return l.offset.Load(), l.rtt.Load() != 0
}
