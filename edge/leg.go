package edge

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/pion/rtcp"

	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

const (
	// trainLength is how many packets of a replay leave at once. A keyframe in one burst overruns the queues of the last
	// mile.
	trainLength = 10
	// newRun is how many packets must be missing before a keyframe to start without a hole: nobody needs them any more.
	newRun = 32
	// lostTrack is how many packets can be missing within a layer before only a keyframe helps.
	lostTrack = 512
	// reach is how many numbers a replay may lie behind; a ring holds no more.
	reach = 4096

	videoHistory = 1024
	audioHistory = 256

	// Times in microseconds.
	reportTime  = 1_000_000 // between two sender reports
	replayPause = 2_000_000 // between two replays that a subscriber asks for
	wakePause   = 20_000    // between two pleas of a subscriber that wake the pump
	pleaPause   = 3_000_000 // between two keyframes that the publisher makes for one subscriber that has some
	stampTime   = 1_000_000 // between two stamps of frames that follow one clock: receivers reckon those in between
	settleTime  = 500_000   // after a replay, while what the subscriber says is about the time before it
	firstSettle = 150_000   // after the first, before which there is nothing to speak of
	aged        = 2_000_000 // how old a keyframe may be that a replay begins with, before a new one is asked for
	giveUp      = 3_000_000 // how long a subscriber sees nothing because the layer meant for it does not come
)

// leg is one section of one subscriber's session, and the track on its way there.
type leg struct {
	// Set by newLeg, never changed.
	kind      media.Kind
	out       *binding
	writeRTCP func([]rtcp.Packet) error
	began     int64 // when the subscriber asked, for the time to the first packet
	net       *network
	mu        *sync.Mutex // that of net

	choices []*pump              // of the tracks that it may carry, the best first; set before it is served, never changed
	at      atomic.Pointer[pump] // the one that serves it; changed by carry

	// Guarded by mu.
	open       bool // connected: packets may be sent
	generation uint64
	order      []media.Layer
	codec      *codec // nil: the subscriber cannot take the track's codec
	source     uint32
	rate       uint32
	selector   forward.Selector
	levels     forward.Levels
	svc        bool // order is of levels
	rewriter   forward.Rewriter
	history    *forward.History
	picture    picture
	arrivals   *forward.Arrivals // nil where the player tells a limit itself, or nothing at all
	skipped    int               // layers passed over because nothing came
	since      int64             // how long the leg has waited for its first keyframe
	plea       bool              // the subscriber said that it cannot decode
	wokenAt    int64             // when it woke the pump to say so, 0 for never
	pleaAt     int64             // when a keyframe was last asked for because of it, 0 for never
	lost       uint64
	lostLayer  media.Layer // a keyframe of this layer from before number lost is of no use

	pulling bool   // packets come from the ring, not from the batch
	next    uint64 // the number to be pulled next
	trainAt int64
	runAt   int64 // when the present run began
	first   bool  // nothing was sent before the present run
	old     bool  // the present run is a replay that takes long: it is left for a new keyframe

	sent        forward.Sent
	way         way
	repairIndex uint64       // of the last repair packet
	stampedAt   int64        // when a stamp was last sent, 0 for never in this run
	repair      []byte       // a repair packet's payload
	carrier     media.Packet // a packet of redundant sound
	reportAt    int64
	counts      counts
	spare       float64 // bytes of repair that its media leaves room for, below 0 after one packet too many
	sparedAt    uint64  // the bytes of media that spare knows
	heard       heard
}

func newLeg(kind media.Kind, out *binding, net *network, writeRTCP func([]rtcp.Packet) error, began int64) *leg {
	size := videoHistory
	if kind == media.Audio {
		size = audioHistory
	}
	l := &leg{
		kind: kind, out: out, net: net, mu: &net.mu, writeRTCP: writeRTCP, began: began,
		selector: forward.NewSelector(kind), levels: forward.NewLevels(),
		rewriter: forward.NewRewriter(uint16(rand.Uint32()), rand.Uint32()), history: forward.NewHistory(size),
		repairIndex: uint64(rand.Uint32() & 0x7fff), way: newWay(out),
	}
	if out.count != 0 {
		l.arrivals = &forward.Arrivals{}
	}
	return l
}

// setOpen says whether the subscriber is connected.
func (l *leg) setOpen(open bool, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == open {
		return
	}
	l.open = open
	l.restart(now)
}

// setStream lets packets be sealed here from the first one on.
func (l *leg) setStream(s *fan.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.way.stream = s
}

// setPath says where packets that are sealed here go.
func (l *leg) setPath(p *fan.Path) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.way.path = p
}

// adopt takes in what has changed about the track.
func (l *leg) adopt(p *pump, now int64) {
	pl := &p.plan
	l.generation, l.order, l.skipped, l.rate = pl.generation, pl.order, 0, pl.codec.ClockRate
	l.codec, l.svc = l.out.match(pl.codec), pl.svc
	l.measure(p)
	l.decide(p, now)
	if l.source != pl.source {
		l.source, l.lost = pl.source, 0
		l.restart(now)
		if l.codec == nil && pl.codec.MimeType != "" {
			p.metrics.unserved.Inc()
		}
	}
	l.aim()
}

// aim chooses the layer.
func (l *leg) aim() {
	if len(l.order) == 0 {
		return
	}
	l.point((len(l.order) - l.layers() + l.skipped) % len(l.order))
}

// serve gives the leg its part of the pump's batch.
func (l *leg) serve(p *pump, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.Load() != p {
		return // it was given to another pump since this pass began
	}
	if l.generation != p.plan.generation {
		l.adopt(p, now)
	}
	if l.codec == nil {
		if p.plan.codec.MimeType == "" {
			// Nothing is known of the track yet. To want all of it saves the time to ask again when something is.
			p.wants = media.AllLayers
		}
		return
	}
	if l.picture.off {
		return
	}
	if l.open && now >= l.picture.resumeAt {
		l.forward(p, now)
	}
	p.wants |= l.selector.Layers()
	p.replays = p.replays || l.pulling
}

func (l *leg) forward(p *pump, now int64) {
	if l.plea {
		l.plea = false
		l.help(p, now)
	}
	if _, playing := l.selector.Playing(); !playing && l.kind == media.Video && l.mayReplay(now) {
		l.begin(p, now)
	}
	for i := range p.batch[:p.n] {
		it := &p.batch[i]
		if it.Source != p.plan.source {
			continue
		}
		switch l.selector.Take(&it.Packet) {
		case forward.Begin:
			if it.late && l.kind == media.Audio {
				continue // what followed it is gone, and would be missed
			}
			l.run(p, &it.Packet, &it.desc, it.Timestamp, now)
		case forward.Continue:
			switch {
			case l.pulling && l.old && it.Number > l.next && it.Flags.Has(media.Key|media.First):
				l.run(p, &it.Packet, &it.desc, it.Timestamp, now)
			case !l.pulling || it.Number < l.next:
				l.live(p, it, now)
			}
		}
	}
	if l.pulling {
		l.pull(p, now)
	}
	l.miss(p, now)
}

// live sends a packet of the batch.
func (l *leg) live(p *pump, it *item, now int64) {
	if again, lost := l.gap(&it.Packet); lost {
		l.lose(&it.Packet, now)
		return
	} else if again {
		l.run(p, &it.Packet, &it.desc, it.Timestamp, now)
		return
	}
	l.send(p, &it.Packet, &it.desc, it.fill, now)
}

// gap looks at what is missing before a packet: so much that numbers are best begun again with it, or so much that the
// track is lost until the next keyframe.
func (l *leg) gap(pkt *media.Packet) (again, lost bool) {
	gap := l.rewriter.Gap(pkt.Number)
	again = gap > newRun && (l.kind == media.Audio || pkt.Flags.Has(media.Key|media.First))
	return again, !again && gap > lostTrack
}

// restart sends nothing more until there is a keyframe.
func (l *leg) restart(now int64) {
	l.pulling, l.since = false, now
	l.selector.Restart()
}

// lose gives up what came before a packet: a keyframe from before it would lead to the same gap.
func (l *leg) lose(pkt *media.Packet, now int64) {
	l.lost, l.lostLayer = pkt.Number, pkt.Layer
	l.restart(now)
}

// run starts a run of numbers at a packet: a keyframe's first, or any of sound. Video is pulled from the ring from here on,
// because packets of the keyframe may have come before its first.
func (l *leg) run(p *pump, pkt *media.Packet, d *forward.Descriptor, head uint32, now int64) {
	if layer, playing := l.selector.Playing(); playing && layer != pkt.Layer {
		p.tally.switches++
	}
	l.selector.Begin(pkt)
	l.levels.Begin(pkt)
	l.rewriter.Begin(pkt, d, head, l.rate, now)
	l.runAt, l.stampedAt, l.first, l.old = now, 0, l.counts.packets == 0, false
	if l.kind == media.Audio {
		l.send(p, pkt, d, 0, now)
		return
	}
	l.pulling, l.next, l.trainAt = true, pkt.Number, 0
}

// begin starts the layer aimed at from the newest keyframe in the ring, if there is one.
func (l *leg) begin(p *pump, now int64) {
	if l.replay(p, l.selector.Target(), reach, now) {
		p.tally.replayed++
	}
}

// replay starts a run at the newest keyframe in the ring. At most limit packets are replayed.
func (l *leg) replay(p *pump, layer media.Layer, limit uint64, now int64) bool {
	number, ok := p.track.Keyframe(layer)
	if !ok || layer == l.lostLayer && number < l.lost || !p.track.Packet(layer, number, &p.scratch) || p.scratch.Source != p.plan.source {
		return false
	}
	head := p.scratch.Timestamp
	if h, ok := p.track.Head(layer); ok {
		if h-number >= limit {
			return false
		}
		if p.track.Packet(layer, h, &p.newest) && p.newest.Source == p.plan.source {
			head = p.newest.Timestamp
		}
	}
	d := l.descriptor(p)
	l.run(p, &p.scratch, &d, head, now)
	l.old = int64(int32(head-p.scratch.Timestamp))*1e6 > aged*int64(l.rate)
	return true
}

// descriptor reads that of the scratch packet.
func (l *leg) descriptor(p *pump) forward.Descriptor { return p.plan.format.Parse(&p.scratch) }

// pull sends what is due from the ring, until the leg has caught up with the present.
func (l *leg) pull(p *pump, now int64) {
	layer, _ := l.selector.Playing()
	head, ok := p.track.Head(layer)
	if !ok || head >= l.next && head-l.next >= reach {
		l.restart(now) // what is to be pulled is no longer there
		return
	}
	if now-l.trainAt < int64(trainTime.Microseconds()) && l.trainAt != 0 {
		return
	}
	l.refill(l.needs(layer), now)
	for sent := 0; l.next <= head && sent < trainLength && l.picture.ready > 0; l.next++ {
		if !p.track.Packet(layer, l.next, &p.scratch) {
			continue // never came; if it does, it comes with a batch and finds its hole
		}
		if p.scratch.Source != p.plan.source {
			break
		}
		d := l.descriptor(p)
		if again, lost := l.gap(&p.scratch); lost {
			l.lose(&p.scratch, now)
			return
		} else if again {
			l.run(p, &p.scratch, &d, p.scratch.Timestamp, now)
		}
		if !l.rewriter.Due(&p.scratch, now) {
			return
		}
		if l.send(p, &p.scratch, &d, 0, now) {
			l.picture.ready -= float64(len(p.scratch.Payload))
			l.trainAt = now
			sent++
		}
	}
	l.pulling = l.next <= head
}

// help answers a subscriber that cannot decode what it has: by the ring if that may help, else by a new keyframe. All
// students pay for that one with their bitrate, so that a subscriber that never can decode gets one only now and then.
//
// A replay can be of no use from its beginning on: some players drop what comes in the moment in which they have connected.
func (l *leg) help(p *pump, now int64) {
	layer, playing := l.selector.Playing()
	if !playing {
		return
	}
	again := now-l.runAt >= replayPause
	switch {
	case l.first && now-l.runAt >= firstSettle:
		again = true
	case l.pulling || now-l.runAt < settleTime:
		return
	}
	if again && l.mayReplay(now) && l.replay(p, layer, videoHistory-trainLength, now) {
		p.tally.replayed++
		return
	}
	if l.pleaAt == 0 || now-l.pleaAt >= pleaPause {
		l.pleaAt = now
		p.missing = p.missing.Add(layer)
	}
}

// miss says whether a keyframe must be asked for, and passes over a layer that does not come.
func (l *leg) miss(p *pump, now int64) {
	l.rise(p, now)
	layer, waits := l.selector.Waits()
	if playing, _ := l.selector.Playing(); l.pulling && l.old && p.state.Live {
		p.missing = p.missing.Add(playing)
	}
	if !waits || !p.state.Live {
		l.since = now
		return
	}
	if p.flows(layer, now) || now-l.since > patience || !l.mayReplay(now) {
		p.missing = p.missing.Add(layer)
	}
	if _, playing := l.selector.Playing(); !playing && now-l.since > giveUp && len(l.order) > 1 && !l.svc {
		l.skipped++
		l.since = now
		l.aim()
	}
}

// send gives a packet its place and writes it with some padding, unless it was written before or is of a level that the
// subscriber does not get. It reports whether it wrote it.
func (l *leg) send(p *pump, pkt *media.Packet, d *forward.Descriptor, fill uint8, now int64) bool {
	level := l.levels.Of(pkt)
	if pkt.Flags.Level() > level {
		l.rewriter.Skip(pkt.Number)
		return false
	}
	if !l.rewriter.Rewrite(pkt, d, now, &l.sent) {
		p.tally.late++
		return false
	}
	l.sent.Type, l.sent.Level = l.codec.payload, level
	if !l.history.Add(&l.sent) {
		return false
	}
	if l.out.red != 0 {
		l.sent.Type, pkt = l.out.red, l.redundant(p, pkt)
	}
	d.Patch(pkt.Payload, l.sent.IDs)
	stamped := l.stamps(pkt)
	switch {
	case l.codec.repair == 0:
		fill = 0
	case stamped && !l.pulling && l.stampedAt != 0 && now-l.stampedAt < stampTime:
		stamped = false // a train of equal packets has no room for it
	case stamped:
		l.stampedAt = now
	}
	if !l.write(p.out, &l.sent, pkt, stamped, fill, now) {
		p.tally.failed++
		return false
	}
	if l.counts.packets == 0 {
		p.metrics.first(l.kind, now-l.began)
	}
	l.counts.packets++
	l.counts.bytes += uint64(len(pkt.Payload))
	p.tally.packets++
	p.tally.bytes += len(pkt.Payload)
	return true
}

// stamps reports whether a packet can tell when it was captured: each of sound, and the first of a frame.
func (l *leg) stamps(pkt *media.Packet) bool {
	return l.kind == media.Audio || pkt.Flags.Has(media.First)
}

// write sends a packet. To a subscriber without repair packets it must make the same bytes again when it is asked for, all
// stamps and no padding: with the keys of SRTP two versions of one packet would betray the authentication key (RFC 7714,
// section 8).
func (l *leg) write(out *fan.Batch, s *forward.Sent, pkt *media.Packet, stamped bool, fill uint8, now int64) bool {
	h := fan.Header{
		SSRC: l.out.ssrc, Timestamp: s.Timestamp, Index: s.Index, Type: s.Type, Marker: l.marker(s, pkt), Padding: fill,
	}
	if stamped {
		h.StampID, h.Stamp = l.out.stamp, media.NTPFromMicros(pkt.Captured)
	}
	payload := l.describe(&h, pkt)
	l.depart(&h, len(payload), now)
	return l.way.send(out, &h, payload) == nil
}

// depart writes on a packet when it leaves, or its number, for players that watch their network by it.
func (l *leg) depart(h *fan.Header, size int, now int64) {
	h.TimeID, h.Time = l.out.sendTime, departure(now)
	if l.arrivals != nil {
		h.CountID, h.Count = l.out.count, l.arrivals.Depart(size, now)
	}
}

// marker reports whether a packet is the last of its frame that the subscriber gets.
func (l *leg) marker(s *forward.Sent, pkt *media.Packet) bool {
	return l.kind == media.Video && (pkt.Flags.Has(media.Last) || pkt.Flags.Has(media.Ends) && pkt.Flags.Level() == s.Level)
}

// report sends a sender report once a second while media flows.
func (l *leg) report(st *relay.State, now int64) {
	sr, ok := l.senderReport(st, now)
	if !ok {
		return
	}
	names := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: sr.SSRC, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: l.out.cname}},
	}}}
	_ = l.writeRTCP([]rtcp.Packet{sr, names}) // the connection may be gone; the next report tries again
}

func (l *leg) senderReport(st *relay.State, now int64) (*rtcp.SenderReport, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	layer, playing := l.selector.Playing()
	if !l.open || !playing || l.counts.packets == 0 || now < l.reportAt {
		return nil, false
	}
	l.reportAt = now + reportTime
	var clock media.Clock
	if l.source == st.Info.Source {
		clock = st.Clocks[layer]
	}
	ntp, timestamp := l.rewriter.Report(clock)
	l.net.reported(ntp, now)
	return &rtcp.SenderReport{
		SSRC: l.out.ssrc, NTPTime: ntp, RTPTime: timestamp,
		PacketCount: uint32(l.counts.packets), OctetCount: uint32(l.counts.bytes),
	}, true
}
