package edge

import (
	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// limited takes in a limit that the player tells, in bits per second. It is about the pictures alone: browsers do not count
// sound.
func (s *Subscriber) limited(bps float64, now int64) {
	l := s.lead()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limitedLocked(bps, now)
}

func (l *leg) limitedLocked(bps float64, now int64) {
	l.heard.estimate = bps
	l.net.estimator.Limit(bps, now)
	if p := l.at.Load(); l.decide(p, now) {
		p.poke()
	}
}

// arrived takes in a report of when packets have come, from a player that was asked for them because it tells no limit.
func (s *Subscriber) arrived(report []byte, now int64) {
	l := s.lead()
	if l == nil || l.arrivals == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, tell, err := l.arrivals.Report(report, now)
	if err != nil {
		s.edge.metrics.malformed.Inc()
	}
	if l.arrivals.Full() {
		l.net.estimator.Full(now)
	}
	if tell {
		l.limitedLocked(limit, now)
	}
}

// soundLost takes in the fraction of sound that was lost.
func (s *Subscriber) soundLost(lost float64, now int64) {
	l := s.lead()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.net.estimator.Heard(lost, now)
}

// govern looks at the network of each leg, and reports whether a burst lasts for one of them.
func (p *pump) govern() bool {
	if p.kind != media.Video {
		return false
	}
	now, probers := p.now(), 0
	for _, l := range p.all() {
		if l.govern(p, probers < maxProbers, now) {
			probers++
		}
	}
	return probers > 0
}

// probe sends what is due of the bursts, and reports whether one of them lasts.
func (p *pump) probe() bool {
	now, lasts := p.now(), false
	p.out = p.fan.Take()
	defer p.out.Done()
	for _, l := range p.all() {
		lasts = l.net.probing.Load() && l.probe(p, now) || lasts
	}
	return lasts
}

// govern measures what was sent, decides anew, and begins a burst where more is wanted than is known to be carried; may
// says whether the room has place for one. It reports whether a burst lasts.
func (l *leg) govern(p *pump, may bool, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kind != media.Video || l.at.Load() != p || l.generation != p.plan.generation {
		return false
	}
	n := l.net
	l.measure(p)
	if n.lead() != l {
		return false
	}
	bytes := n.sent()
	n.estimator.Sent(bytes, now)
	if n.pulling() && n.estimator.Value() == forward.Unknown {
		n.estimator.Surge(now)
	}
	if l.decide(p, now) {
		p.poke()
	}
	if n.prober.Probing() {
		return true
	}
	lacks := n.lacks(now)
	switch {
	case lacks == 0 || l.codec == nil || n.pulling() || !n.estimator.Quiet(calm, now):
		return false
	case l.codec.repair == 0:
		if now-n.triedAt >= tryTime {
			n.triedAt = now
			n.estimator.Hope(min(lacks, n.step()), now)
		}
		return false
	case !may || !n.prober.Ready(now):
		return false
	}
	from, off := n.known(), n.off()
	if off {
		from /= 2 // nothing of it is sent now
	}
	blind := !n.estimator.Tells(now)
	n.prober.Begin(from, lacks, bytes, n.estimator.Signs(), blind && !off, blind || off, now)
	n.estimator.Burst(true, !off, now)
	n.probing.Store(true)
	l.picture.repeat, l.picture.padded = 0, false
	return true
}

// probe sends what is due of the leg's burst, and reports whether it lasts.
func (l *leg) probe(p *pump, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.net
	if n.lead() != l {
		return false
	}
	bytes := n.sent()
	n.estimator.Sent(bytes, now)
	due, over := n.prober.Due(bytes, n.estimator.Signs(), now)
	if !over && (l.codec == nil || l.codec.repair == 0 || n.lacks(now) == 0) {
		n.prober.Stop(now)
		over = true
	}
	if over {
		n.probing.Store(false)
		n.estimator.Burst(false, true, now)
		if n.estimator.Quiet(calm, now) {
			p.metrics.full.Inc()
		} else {
			p.metrics.met.Inc()
		}
		return false
	}
	for due > 0 {
		due -= l.fill(p, now)
	}
	return true
}

// fill sends one packet that the subscriber does not need, on the repair stream, and returns its size: a packet that it has
// got already, or padding where there is none.
func (l *leg) fill(p *pump, now int64) int {
	pi := &l.picture
	l.counts.probes++
	p.metrics.probes.Inc()
	for range repeats {
		if pi.padded {
			break
		}
		s, ok := l.history.Recent(pi.repeat)
		pi.repeat++
		if !ok || pi.repeat == repeats {
			pi.padded = pi.repeat == 1
			pi.repeat = 0
		}
		if !ok || s.Type != l.codec.payload || !p.track.Packet(s.Layer, s.Number, &p.scratch) || p.scratch.Source != p.plan.source {
			continue
		}
		if n := len(p.scratch.Payload); n < padding || n > trainPacket {
			continue
		}
		d := l.descriptor(p)
		d.Patch(p.scratch.Payload, s.IDs)
		return l.writeRepair(p.out, &s, l.codec.repair, &p.scratch, now)
	}
	pi.padded = true // look no more
	return l.writeOnRepair(p.out, &fan.Header{Timestamp: l.sent.Timestamp, Type: l.codec.repair, Padding: padding}, nil, now)
}

// stepRoom is by what factor a network that only can be tried must exceed what a layer needs.
const stepRoom = 1.2

// trainPacket is the largest payload that a burst repeats: those beyond it may not fit once more (RFC 4588 adds two bytes).
const trainPacket = 1200
