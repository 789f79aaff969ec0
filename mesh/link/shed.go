package link

import "time"

const (
	// shedAfter is for how long in a row, in ticks, chunks must have waited too long before a layer is shed.
	shedAfter = 3
	// shedPause is how long shedding is given to show its effect, besides two round trips, before more is shed.
	shedPause = 500 * time.Millisecond
	// firstProbe and lastProbe bound the time until it is looked whether there is room again. It doubles when a layer that
	// was resumed had to be shed again within relapse.
	firstProbe = 4 * time.Second
	lastProbe  = 30 * time.Second
	relapse    = 10 * time.Second
	// probeFor is how long a probe sends, and probeShare how much of the layer's rate: enough for an overload of one sixth
	// to show, not enough to fill a queue of 100 ms.
	probeFor   = 150 * time.Millisecond
	probeShare = 1.1
	// probeStep is the time between two pieces of a probe, and between two looks at what it does.
	probeStep = 10 * time.Millisecond
	// probeLimit is how many looks in a row may find the way slower than before.
	probeLimit = 6
)

// action is what a shedder asks for.
type action int

const (
	nothing action = iota
	shedLayer
	probeRoom
)

// shedder decides when the way to a child has no room for all layers, and when to look for room again.
type shedder struct {
	bad     int // ticks
	shed    int // layers
	last    time.Time
	resumed time.Time
	pause   time.Duration
}

// tick looks at the last tenth of a second. Long means that p95 of the time in the queue was above 100 ms; stuck, that no
// stripe may be added.
func (s *shedder) tick(now time.Time, long, stuck bool, rtt time.Duration) action {
	if !long {
		s.bad = 0
	} else if stuck {
		s.bad++
	}
	switch {
	case s.bad >= shedAfter && now.Sub(s.last) >= shedPause+2*rtt:
		return shedLayer
	case s.shed > 0 && s.bad == 0 && now.Sub(s.last) >= s.pause:
		return probeRoom
	}
	return nothing
}

// did notes that a layer was shed.
func (s *shedder) did(now time.Time) {
	switch {
	case s.pause == 0 || now.Sub(s.resumed) >= relapse && s.shed == 0:
		s.pause = firstProbe
	case now.Sub(s.resumed) < relapse:
		s.pause = min(2*s.pause, lastProbe)
	}
	s.shed++
	s.bad, s.last = 0, now
}

// probed notes how a probe ended.
func (s *shedder) probed(now time.Time, room bool) {
	s.last = now
	if room {
		s.shed--
		s.resumed = now
	}
}

// probe sends padding at the rate of a layer and watches whether the way becomes slower, so that a layer is resumed only
// where it finds room. What overloads the way shows in the round-trip time before the queue on the way is full.
type probe struct {
	rate  float64 // bytes per second
	began time.Time
	ends  time.Time     // of sending
	until time.Time     // of looking
	calm  time.Duration // how much slower the way may become
	due   float64       // bytes that are to be sent by now
	sent  float64
	slow  int // looks in a row
}

func newProbe(now time.Time, rate float64, before, rtt time.Duration) *probe {
	ends := now.Add(probeFor)
	return &probe{
		rate: rate * probeShare, began: now, ends: ends, until: ends.Add(rtt + 50*time.Millisecond),
		calm: before + max(20*time.Millisecond, rtt/5),
	}
}

// step says how many bytes to send now. Over is true when the probe has ended.
func (p *probe) step(now time.Time, latest time.Duration) (bytes int, over, room bool) {
	if latest > p.calm {
		p.slow++
	} else {
		p.slow = 0
	}
	if p.slow >= probeLimit {
		return 0, true, false
	}
	if !now.Before(p.until) {
		return 0, true, p.sent >= .9*p.due
	}
	at := now
	if at.After(p.ends) {
		at = p.ends
	}
	p.due = at.Sub(p.began).Seconds() * p.rate
	if p.slow > 0 {
		return 0, false, false // it may be too much already
	}
	return int(p.due - p.sent), false, false
}
