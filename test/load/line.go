package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// ipHeaders is what IPv4 and UDP add to a datagram on the line, in bytes.
	ipHeaders = 28
	// defaultQueue is a line's buffer when Path.Queue is zero.
	defaultQueue = 100 * time.Millisecond
	// defaultHeld is how far a reordered packet falls back when Path.ReorderBy is zero.
	defaultHeld = 10 * time.Millisecond
)

// Path is what happens to packets in one direction. The zero Path is perfect.
type Path struct {
	// Delay is the one-way propagation time.
	Delay time.Duration
	// Jitter is by how much a packet may be earlier or later than Delay, evenly spread. It does not change the order.
	Jitter time.Duration
	// Loss is the share of packets that vanish, 0 to 1.
	Loss float64
	// Burst is the mean number of packets that vanish in a row (Gilbert). 0 and 1 mean that each is lost on its own.
	Burst float64
	// Reorder is the share of packets that are held back by ReorderBy, so that later ones overtake them.
	Reorder float64
	// ReorderBy is how long they are held back. Zero means 10 ms.
	ReorderBy time.Duration
	// Rate is the line's speed in bits per second. Zero means without bound.
	Rate int64
	// Queue is the longest that a packet waits for the line; it is dropped when it would wait longer. Zero means 100 ms.
	Queue time.Duration
	// Cut loses everything.
	Cut bool
}

// Validate reports what no line can be.
func (p Path) Validate() error {
	switch {
	case p.Delay < 0 || p.Jitter < 0 || p.ReorderBy < 0 || p.Queue < 0:
		return errors.New("the times of a path must not be negative")
	case p.Loss < 0 || p.Loss > 1 || p.Reorder < 0 || p.Reorder > 1:
		return errors.New("loss and reordering are shares from 0 to 1")
	case p.Burst < 0 || p.Burst > 1 && p.Loss >= 1:
		return fmt.Errorf("bursts of %v at a loss of %v are not possible", p.Burst, p.Loss)
	case p.Rate < 0:
		return errors.New("the rate of a path must not be negative")
	}
	return nil
}

// Traffic counts the packets that came to a line, and what became of those that did not arrive.
type Traffic struct {
	Packets, Bytes  int64
	Lost, Full, Cut int64 // by chance; for want of room in the queue; because the line was cut
}

// line decides when a packet arrives at the other end of a path, and whether at all. It has no clock and no goroutine.
type line struct {
	path    Path
	rng     *rand.Rand
	bad     bool      // inside a burst of losses
	free    time.Time // when the line has sent all that waits
	last    time.Time // the latest arrival of a packet that keeps its order
	traffic Traffic
}

func newLine(p Path, seed uint64) *line {
	return &line{path: p, rng: rand.New(rand.NewPCG(seed, 1))}
}

// admit takes a packet of so many bytes on the line and says when it arrives.
func (l *line) admit(now time.Time, size int) (at time.Time, ok bool) {
	l.traffic.Packets++
	l.traffic.Bytes += int64(size)
	if l.path.Cut {
		l.traffic.Cut++
		return at, false
	}
	at = now
	if l.path.Rate > 0 {
		queue := l.path.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if l.free.Before(now) {
			l.free = now
		}
		if l.free.Sub(now) > queue {
			l.traffic.Full++
			return at, false
		}
		l.free = l.free.Add(time.Duration(int64(size) * 8 * int64(time.Second) / l.path.Rate))
		at = l.free
	}
	if l.lose() {
		l.traffic.Lost++
		return at, false
	}
	at = at.Add(l.path.Delay)
	if j := l.path.Jitter; j > 0 {
		at = at.Add(time.Duration(l.rng.Int64N(2*int64(j)+1)) - j)
	}
	if at.Before(now) {
		at = now
	}
	if l.path.Reorder > 0 && l.rng.Float64() < l.path.Reorder {
		held := l.path.ReorderBy
		if held == 0 {
			held = defaultHeld
		}
		return at.Add(held), true
	}
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	return at, true
}

// lose decides by a Gilbert model: losses come in runs of Burst packets on average and make up Loss of all.
func (l *line) lose() bool {
	p, burst := l.path.Loss, max(l.path.Burst, 1)
	switch {
	case p <= 0:
		l.bad = false
	case p >= 1:
		l.bad = true
	case burst <= 1:
		l.bad = l.rng.Float64() < p
	case l.bad:
		l.bad = l.rng.Float64() >= 1/burst
	default:
		l.bad = l.rng.Float64() < p/(burst*(1-p))
	}
	return l.bad
}
