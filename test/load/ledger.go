package main

import (
	"slices"
	"sync"
	"time"
)

// ledger knows the frames of one layer: when each was written, and when its packets arrived.
type ledger struct {
	mu sync.Mutex
	// Guarded by mu.
	first  uint64 // the first frame's id
	frames []frame
}

type frame struct {
	at      time.Time // when it was written
	number  uint64    // of its first packet
	key     bool
	arrived []time.Time     // by packet; zero for those that did not come
	transit []time.Duration // by packet, since it was written itself
	missing int             // packets
}

// sent notes that a frame is about to be written. The ids of frames are consecutive. A nil ledger
// notes nothing.
func (l *ledger) sent(id, number uint64, packets int, key bool, at time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.frames) == 0 {
		l.first = id
	}
	l.frames = append(l.frames, frame{
		at: at, number: number, key: key, arrived: make([]time.Time, packets),
		transit: make([]time.Duration, packets), missing: packets,
	})
}

// got notes the arrival of a packet and how long it took. One that came before does not count, nor one never sent.
func (l *ledger) got(id, number uint64, at time.Time, transit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := id - l.first
	if i >= uint64(len(l.frames)) {
		return
	}
	f := &l.frames[i]
	if n := number - f.number; n < uint64(len(f.arrived)) && f.arrived[n].IsZero() {
		f.arrived[n], f.transit[n] = at, transit
		f.missing--
	}
}

// whole reports whether every frame has arrived.
func (l *ledger) whole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(l.frames, func(f frame) bool { return f.missing > 0 })
}

// packets is how many packets were sent in a span of time.
func (l *ledger) packets(from, to time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.frames {
		if !f.at.Before(from) && f.at.Before(to) {
			n += len(f.arrived)
		}
	}
	return n
}

// delays are what the frames of a span took, from the moment they were written.
type delays struct {
	frames, missing int
	complete        []time.Duration // until the whole frame was there
	ordered         []time.Duration // until it and all before were there
	keys            []time.Duration // complete, keyframes alone
	packets         []time.Duration // of each packet of a whole frame, from its own writing
}

// add takes the delays of another layer in.
func (d *delays) add(o delays) {
	d.frames += o.frames
	d.missing += o.missing
	d.complete = append(d.complete, o.complete...)
	d.ordered = append(d.ordered, o.ordered...)
	d.keys = append(d.keys, o.keys...)
	d.packets = append(d.packets, o.packets...)
}

// delays looks at the frames that were written in a span of time. A frame of which a packet never came is missing: it
// has no delay and does not hold up those after it. Frames before the span do.
func (l *ledger) delays(from, to time.Time) (d delays) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var order time.Time
	for _, f := range l.frames {
		inside := !f.at.Before(from) && f.at.Before(to)
		if inside {
			d.frames++
		}
		if f.missing > 0 {
			if inside {
				d.missing++
			}
			continue
		}
		last := slices.MaxFunc(f.arrived, time.Time.Compare)
		if last.After(order) {
			order = last
		}
		if !inside {
			continue
		}
		d.complete = append(d.complete, last.Sub(f.at))
		d.ordered = append(d.ordered, order.Sub(f.at))
		if f.key {
			d.keys = append(d.keys, last.Sub(f.at))
		}
		d.packets = append(d.packets, f.transit...)
	}
	return d
}

// back is how long after a moment the layer was whole again: from then on no frame is missing for a while. Not ok means
// that this did not happen before end.
func (l *ledger) back(since, end time.Time, while time.Duration) (after time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := since
	for _, f := range l.frames {
		if f.at.Before(since) || !f.at.Before(end) {
			continue
		}
		if f.missing > 0 {
			start, ok = time.Time{}, false
			continue
		}
		if start.IsZero() {
			start = f.at
		}
		if f.at.Sub(start) >= while {
			return start.Sub(since), true
		}
	}
	return 0, false
}

// percentile is the value below which the share q of the durations lies, by nearest rank; 0 for none. It sorts d.
func percentile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// Spread is a distribution of times in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func spread(d []time.Duration) Spread {
	return Spread{millis(percentile(d, .5)), millis(percentile(d, .95)), millis(percentile(d, .99)), millis(percentile(d, 1))}
}

// millis is a duration in milliseconds to a hundredth.
func millis(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)/(10*time.Microsecond)) / 100
}
