package link

import (
	"errors"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// errMute ends a link whose first stripe carries nothing any more while others do.
var errMute = errors.New("the first stripe is not answered")

const (
	// governEvery is how often a link to a child is looked at.
	governEvery = 100 * time.Millisecond
	// unknownRate stands for the rate of a layer that was not measured yet, in bytes per second.
	unknownRate = 200_000
	// baseFor is how long the lowest round-trip time counts: ways change.
	baseFor = time.Minute
)

// governor keeps a link to a child in shape: it replaces stripes that carry nothing, asks for more or fewer, and sheds
// layers for which there is no room. It belongs to the dispatcher.
type governor struct {
	// Set by newGovernor, never changed.
	down  *downLink
	fixed bool // the child does not change the number of stripes

	scaler  scaler
	shedder shedder
	stack   []shedding // in the order in which they were shed
	probe   *probe     // nil for none
	pacer   pacer
	last    time.Time
	cond    conditions
	ring    [10]waits // the last second
	turn    int
	sent    float64 // packets, over some seconds
	lost    float64
	bases   [2]time.Duration // the lowest round-trip time of this minute and of the one before
	minute  time.Time
	protect protection
	above   time.Duration // how much the round-trip time is above base now
}

// shedding is a layer that is not sent for want of room.
type shedding struct {
	serving *serving
	layer   media.Layer
	rate    float64 // bytes per second
}

func newGovernor(d *downLink) *governor {
	now := time.Now()
	return &governor{down: d, fixed: d.most != maxStripes, scaler: newScaler(now), protect: newProtection(now), last: now, minute: now}
}

// usable reports whether chunks may go to a stripe: those that the child is about to close get none.
func (g *governor) usable(s *stripe) bool { return g.fixed || s.index < g.scaler.want }

// clean reports whether nothing was lost over some seconds: one loss counts half after 3.4 s.
func (g *governor) clean() bool { return g.lost < .5 }

// tick is called every governEvery. Its error ends the link.
func (g *governor) tick(now time.Time, d *dispatcher) error {
	list := d.stripes()
	if err := g.hear(now, list, d); err != nil {
		return err
	}
	w := d.queue.look(now)
	g.ring[g.turn%len(g.ring)] = w
	g.turn++
	var second waits
	for _, w := range &g.ring {
		second.add(w)
	}
	c := &g.cond
	if dt := now.Sub(g.last).Seconds(); dt > 0 {
		c.demand += (float64(w.bytes)/dt - c.demand) * min(1, dt)
	}
	g.last = now
	c.waits = g.pacer.rate == 0 && second.over(second.some)
	g.pacer.set(g.narrow(now), max(c.demand, g.flowing()))
	if !g.fixed && c.rtt > 0 && g.scaler.step(now, c) {
		g.down.send(&wire.Stripes{Want: uint64(g.scaler.want)})
	}
	g.shed(now, w.over(w.long))
	g.decideParity(now)
	g.down.rough.Store(!g.clean() || g.narrow(now))
	return nil
}

// decideParity turns parity on or off.
func (g *governor) decideParity(now time.Time) {
	if g.down.speak < 2 || g.cond.rtt == 0 {
		return
	}
	p := &g.protect
	g.down.guard.set(g.cond.rtt, p.loss(), p.burst())
	if p.step(now, &g.cond, g.narrow(now)) {
		g.down.guard.turn(p.on)
		g.down.log.Info("parity", "on", p.on, "loss", p.loss(), "burst", p.burst(), "rtt", g.cond.rtt)
	}
}

// hear looks at every stripe.
func (g *governor) hear(now time.Time, list []*stripe, d *dispatcher) error {
	c := &g.cond
	c.stripes, c.allowed = len(list), 0
	g.sent, g.lost = g.sent*.98, g.lost*.98
	var rtt time.Duration
	var bytes, allSent, allLost float64
	var mute []*stripe
	var heard time.Time
	for _, s := range list {
		st := s.conn.ConnectionStats()
		s.answers.look(now, &st)
		sent, lost, passed := s.seen.since(&st)
		g.sent, g.lost, bytes = g.sent+sent, g.lost+lost, bytes+passed
		allSent, allLost = allSent+sent, allLost+lost
		if s.answers.silence(now, &st) > 0 {
			mute = append(mute, s)
			continue
		}
		if s.answers.heard.After(heard) {
			heard = s.answers.heard
		}
		if st.SmoothedRTT > 0 {
			rtt += st.SmoothedRTT
			c.allowed += float64(st.CongestionWindow) / st.SmoothedRTT.Seconds()
		}
	}
	if n := len(list) - len(mute); n > 0 {
		c.rtt = rtt / time.Duration(n)
	}
	g.pacer.note(bytes)
	g.protect.note(allSent, allLost)
	g.measure(now, list)
	if c.loss = 0; g.sent > 100 {
		c.loss = max(0, g.lost/g.sent)
	}
	if len(mute) == len(list) || now.Sub(heard) > 2*governEvery {
		return nil // nothing is answered: heartbeats decide
	}
	for _, s := range mute {
		st := s.conn.ConnectionStats()
		if !s.answers.resent {
			s.answers.resent = true
			d.resend(now, s, st.SmoothedRTT)
		}
		if s.answers.silence(now, &st) < redialAfter-muteAfter {
			continue
		}
		if s.index == 0 {
			return errMute
		}
		g.down.log.Info("stripe carries nothing", "stripe", s.index)
		g.down.links.metrics.redialled.Inc()
		g.down.send(&wire.Stripes{Want: uint64(g.wanted()), Redial: uint64(s.index)})
		g.down.tasks.Go(func() { s.conn.CloseWithError(codeGoodbye, "carries nothing") })
	}
	return nil
}

func (g *governor) wanted() int {
	if g.fixed {
		return g.down.most
	}
	return g.scaler.want
}

// measure learns the lowest round-trip time of late, and how much slower the way is now.
func (g *governor) measure(now time.Time, list []*stripe) {
	if now.Sub(g.minute) >= baseFor {
		g.bases, g.minute = [2]time.Duration{0, g.bases[0]}, now
	}
	var latest time.Duration
	var newest time.Time
	for _, s := range list {
		st := s.conn.ConnectionStats()
		s.answers.look(now, &st)
		if st.LatestRTT == 0 || now.Sub(s.answers.heard) > governEvery {
			continue
		}
		if g.bases[0] == 0 || st.LatestRTT < g.bases[0] {
			g.bases[0] = st.LatestRTT
		}
		if s.answers.heard.After(newest) {
			latest, newest = st.LatestRTT, s.answers.heard
		}
	}
	g.cond.base = g.bases[0]
	if b := g.bases[1]; b != 0 && (b < g.cond.base || g.cond.base == 0) {
		g.cond.base = b
	}
	if latest > 0 {
		g.above = max(0, latest-g.cond.base)
	}
}

// shed sheds a layer or looks for room again.
func (g *governor) shed(now time.Time, long bool) {
	// What a child has left takes no room any more, shed or not.
	for i := 0; i < len(g.stack); {
		if g.stack[i].serving.over.Load() {
			g.stack = append(g.stack[:i], g.stack[i+1:]...)
			g.shedder.shed--
			g.probe = nil
			continue
		}
		i++
	}
	c := &g.cond
	switch g.shedder.tick(now, long, g.fixed || g.scaler.full(c), c.rtt) {
	case shedLayer:
		g.probe = nil
		victim, ok := g.victim()
		if !ok {
			return
		}
		if len(g.stack) == 0 {
			g.pacer.narrow()
		}
		g.shedder.did(now)
		g.stack = append(g.stack, victim)
		g.down.links.metrics.shed.Inc()
		g.down.log.Info("layer shed", "room", victim.serving.room, "track", victim.serving.track.ID().Name,
			"layer", victim.layer, "loss", c.loss, "rtt", c.rtt)
		victim.serving.shed(victim.layer)
	case probeRoom:
		if g.probe == nil && !c.congested() {
			g.down.links.metrics.probes.Inc()
			g.probe = newProbe(now, g.stack[len(g.stack)-1].rate, g.above, c.rtt)
		}
	}
}

// victim is the layer to be shed next: the least urgent, and of several the largest, which leaves the most room to the
// others. Sound and the lowest layer of a track are never shed.
func (g *governor) victim() (v shedding, ok bool) {
	best := int8(urgencyBase)
	for _, s := range g.down.list() {
		info := s.track.State().Info
		if info.Kind != media.Video {
			continue
		}
		for l := range s.flowing().All() {
			u := urgency(&info, l)
			if int(l) >= len(info.Layers) || u <= urgencyBase || info.Layers[l].Bitrate == paused {
				continue
			}
			rate := float64(info.Layers[l].Bitrate) / 8
			if rate == 0 {
				rate = unknownRate
			}
			if u > best || u == best && rate > v.rate {
				best, v, ok = u, shedding{s, l, rate}, true
			}
		}
	}
	return v, ok
}

// narrow reports whether the way is known to have little room.
func (g *governor) narrow(now time.Time) bool {
	return len(g.stack) > 0 || !g.shedder.resumed.IsZero() && now.Sub(g.shedder.resumed) < pacedFor
}

// flowing is what the layers that are sent should come to, in bytes per second. It is asked for only on narrow ways.
func (g *governor) flowing() (rate float64) {
	if g.pacer.capacity == 0 {
		return 0
	}
	for _, s := range g.down.list() {
		info := s.track.State().Info
		for l := range s.flowing().All() {
			if int(l) < len(info.Layers) {
				rate += float64(info.Layers[l].Bitrate) / 8
			}
		}
	}
	return rate
}

// pad runs the probe, if there is one.
func (g *governor) pad(now time.Time, d *dispatcher) {
	if g.probe == nil {
		return
	}
	g.measure(now, d.stripes())
	n, over, room := g.probe.step(now, g.above)
	if over {
		g.probe = nil
		g.shedder.probed(now, room)
		if room {
			top := g.stack[len(g.stack)-1]
			g.stack = g.stack[:len(g.stack)-1]
			g.pacer.wider(probeShare * top.rate)
			g.down.links.metrics.resumed.Inc()
			g.down.log.Info("layer resumed", "room", top.serving.room, "track", top.serving.track.ID().Name, "layer", top.layer)
			top.serving.resume(top.layer)
		}
		return
	}
	if n > 0 {
		g.probe.sent += float64(d.pad(now, n))
	}
}
