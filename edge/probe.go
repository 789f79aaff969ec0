package edge

import (
	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// limited takes in a limit that the player tells, in bits per second. It is about the picture alone: browsers do not count
// sound.
func (s *Subscriber) limited(bps float64, now int64) {
	l, p := s.camera()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard.estimate = bps
	l.picture.estimator.Limit(bps, now)
	if l.decide(p, now) {
		p.poke()
	}
}

// soundLost takes in the fraction of sound that was lost.
func (s *Subscriber) soundLost(lost float64, now int64) {
	l, _ := s.camera()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.picture.estimator.Heard(lost, now)
}

// camera is the leg of the camera and its pump, nil if the subscriber did not ask for a picture.
func (s *Subscriber) camera() (*leg, *pump) {
	for _, l := range s.legs {
		if l.kind == media.Video {
			return l, s.shard.pump(l.kind)
		}
	}
	return nil, nil
}

// govern looks at the network of each leg, and reports whether a burst lasts for one of them.
func (p *pump) govern() bool {
	if p.plan.kindOf() != media.Video {
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
		lasts = l.picture.probing.Load() && l.probe(p, now) || lasts
	}
	return lasts
}

// govern measures what was sent, decides anew, and begins a burst where more is wanted than is known to be carried; may
// says whether the room has place for one. It reports whether a burst lasts.
func (l *leg) govern(p *pump, may bool, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kind != media.Video || l.generation != p.plan.generation || l.codec == nil {
		return false
	}
	pi := &l.picture
	bytes := l.counts.all()
	pi.estimator.Sent(bytes, now)
	if l.pulling && pi.estimator.Value() == forward.Unknown {
		pi.estimator.Surge(now)
	}
	l.measure(p)
	if l.decide(p, now) {
		p.poke()
	}
	if pi.prober.Probing() {
		return true
	}
	lacks := l.lacks(p, now)
	switch {
	case lacks == 0 || l.pulling || !pi.estimator.Quiet(calm, now):
		return false
	case l.codec.repair == 0:
		if now-pi.triedAt >= tryTime {
			pi.triedAt = now
			pi.estimator.Hope(min(lacks, l.step()), now)
		}
		return false
	case !may || !pi.prober.Ready(now):
		return false
	}
	from := pi.known()
	if pi.off {
		from /= 2 // nothing of it is sent now
	}
	blind := !pi.estimator.Tells(now)
	pi.prober.Begin(from, lacks, bytes, pi.estimator.Signs(), blind && !pi.off, blind || pi.off, now)
	pi.estimator.Burst(true, !pi.off, now)
	pi.probing.Store(true)
	pi.repeat, pi.padded = 0, false
	return true
}

// step is what the network must carry for one layer more.
func (l *leg) step() float64 {
	pi := &l.picture
	next := pi.allocator.Granted(1)
	if next >= pi.allowed {
		return 0
	}
	return max(pi.rates[next]*stepRoom, forward.AudioOnly)
}

// lacks is what the network must carry of the picture for the subscriber to get more of it, 0 when it has all or when there
// is no use in finding out.
func (l *leg) lacks(p *pump, now int64) float64 {
	pi := &l.picture
	if !l.open || !p.state.Live || pi.estimator.Value() == forward.Unknown {
		return 0
	}
	need := pi.allocator.Lacks(pi.wants[:], now)
	if most := float64(pi.wish.MaxBitrate); most > 0 && need > most {
		need = most
	}
	if need -= soundRate; need <= pi.estimator.Value() {
		return 0
	}
	return need
}

// probe sends what is due of the leg's burst, and reports whether it lasts.
func (l *leg) probe(p *pump, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pi := &l.picture
	bytes := l.counts.all()
	pi.estimator.Sent(bytes, now)
	signs := pi.estimator.Signs()
	due, over := pi.prober.Due(bytes, signs, now)
	if !over && (l.codec == nil || l.lacks(p, now) == 0) {
		pi.prober.Stop(now)
		over = true
	}
	if over {
		pi.probing.Store(false)
		pi.estimator.Burst(false, true, now)
		if pi.estimator.Quiet(calm, now) {
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
