package link

import (
	"context"
	"sync/atomic"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

const (
	// flushAfter is how long a chunk waits for more packets of its frame.
	flushAfter = 3 * time.Millisecond
	// replayLate is how long what comes from the ring may wait: a child that joins needs all of it.
	replayLate = 3 * time.Second
	// keyframeLate is how long a keyframe may be under way, besides the round trip of the link: what is live is taken back
	// sooner, and a replay that takes longer is overtaken by a new keyframe.
	keyframeLate = time.Second
	// caughtUp is how close to the newest packet a replay must come to count as live.
	caughtUp = 64
	// backfillLimit bounds what a child gets from before the newest keyframe.
	backfillLimit = 2048
	// audioReplay bounds how much sound a child gets that it missed, in packets; 50 are a second. It is more than is missed
	// while another parent takes the place of one that is lost.
	audioReplay = 100
	// A lane that replays stops at replayHigh waiting chunks and goes on at replayLow, so that the backlog stays in the
	// ring.
	replayHigh = 32
	replayLow  = 8
)

// lane is one layer on its way to one child: a reader of the track whose packets become chunks, or datagrams if they are
// audio. A live chunk never waits for room here; what does not fit into the link's queue in time is dropped there.
type lane struct {
	// Set by newLane, never changed.
	down   *downLink
	sub    uint64
	track  *relay.Track
	layer  media.Layer
	from   uint64 // the first packet that the child lacks, 0 for all
	cancel context.CancelFunc
	wake   chan struct{} // the queue has room for more of the replay

	queued         atomic.Int32  // chunks in the link's queue
	key            atomic.Uint64 // the newest keyframe that the child was given, 0 for none
	keyAt          atomic.Int64  // when, since the link was born
	ended          atomic.Bool
	packets, bytes atomic.Uint64

	// Owned by run.
	version uint64 // of the track's state that audio and urgency come from
	audio   bool
	urgency int8
	fresh   bool   // nothing is sent before a keyframe comes
	start   uint64 // that keyframe, 0 for all
	replay  bool   // the packets come from the ring, the live ones are not reached yet
	until   uint64 // the newest packet when the replay began
	packer  wire.Packer
	open    *chunk // gathers packets of one frame, nil for none
	unsent  bool   // chunks are in the queue of which the dispatcher was not told
	turn    int    // of the stripes for datagrams
	spare   []byte // the last datagram, whose second copy goes with the next one: what loses one copy is over by then
}

func (n *lane) run(ctx context.Context) {
	defer n.ended.Store(true)
	r := n.track.NewReader()
	defer r.Close()
	r.Want(media.LayersOf(n.layer))
	n.until, n.replay = n.track.Head(n.layer)
	if n.from > n.until+backfillLimit {
		n.from = 0 // it was counted by a source that is not known here
	}
	var p media.Packet
	if n.fresh {
		for r.Next(&p) { // what the ring has is passed over
		}
		n.replay = false
		r.RequestKeyframe(n.layer)
	}
	n.backfill(ctx, &p)
	if _, ok := n.track.Keyframe(n.layer); !ok {
		n.replay = n.queued.Load() > 0 // the reader has begun with what is live, which must not overtake what was missed
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for !n.full() && r.Next(&p) {
			if n.fresh && p.Flags.Has(media.Key) {
				n.fresh, n.start = false, p.Frame
			}
			if n.fresh || p.Frame < n.start {
				continue
			}
			gives := !n.replay || p.Number >= n.from
			if gives {
				n.add(&p)
			}
			if p.Flags.Has(media.Key|media.First) && p.Number > n.key.Load() {
				n.given(p.Number, gives)
			}
			if n.replay && p.Number >= n.until {
				head, _ := n.track.Head(n.layer)
				// What is live goes first in the queue, and must not overtake the replay before it.
				n.until, n.replay = head, head > p.Number+caughtUp || n.queued.Load() > 0
			}
		}
		n.hand()
		var flush <-chan time.Time
		if n.open != nil {
			wait := flushAfter - time.Since(n.open.queued)
			if wait <= 0 {
				n.flush()
				n.hand()
			} else {
				timer.Reset(wait)
				flush = timer.C
			}
		}
		wait := r.Wait()
		if n.full() {
			wait = nil
		}
		select {
		case <-wait:
		case <-n.wake:
		case <-flush:
			n.flush()
			n.hand()
		case <-ctx.Done():
			if n.open != nil {
				n.open.free()
			}
			return
		}
	}
}

// given notes the newest keyframe of the child, and whether it was sent now or had been there before.
func (n *lane) given(keyframe uint64, now bool) {
	at := time.Since(n.down.born)
	if !now {
		at -= time.Hour
	}
	n.keyAt.Store(int64(at))
	n.key.Store(keyframe)
}

// carries reports whether a keyframe is on its way to the child: not yet sent, or so lately that it may still arrive. One
// that does not arrive by then was dropped or taken back, and only another one helps.
func (n *lane) carries(keyframe uint64) bool {
	sent := n.key.Load()
	if sent < keyframe {
		return true
	}
	age := time.Since(n.down.born) - time.Duration(n.keyAt.Load())
	return sent == keyframe && age < keyframeLate+time.Duration(n.down.rtt.Load())
}

// full reports whether the replay has to wait.
func (n *lane) full() bool { return n.replay && n.queued.Load() >= replayHigh }

// backfill sends what the child lacks from before the place where the reader starts.
func (n *lane) backfill(ctx context.Context, p *media.Packet) {
	if n.from == 0 || !n.replay {
		return
	}
	end := n.until + 1
	if k, ok := n.track.Keyframe(n.layer); ok {
		end = min(end, k)
	}
	if n.from+backfillLimit < end {
		return // the child missed so much that it starts anew
	}
	n.look()
	if n.audio && n.from+audioReplay < end {
		n.from = end - audioReplay
	}
	defer n.hand()
	for number := n.from; number < end; {
		if n.full() {
			n.hand()
			select {
			case <-n.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		if n.track.Packet(n.layer, number, p) {
			n.add(p)
		}
		number++
	}
}

// look learns what the track is when that has changed.
func (n *lane) look() {
	v := n.track.Version()
	if v == n.version {
		return
	}
	n.version = v
	info := n.track.State().Info
	n.audio = info.Kind == media.Audio
	n.urgency = urgency(&info, n.layer)
}

// urgency gives lower layers the way: they are what remains when there is room for little.
func urgency(info *media.TrackInfo, l media.Layer) int8 {
	if int(l) >= len(info.Layers) {
		return urgencyTop
	}
	size := func(i media.LayerInfo) uint64 {
		if i.Width != 0 {
			return uint64(i.Width) * uint64(i.Height)
		}
		return uint64(i.Bitrate)
	}
	rank := int8(0)
	for i, other := range info.Layers {
		mine := size(info.Layers[l])
		if s := size(other); s < mine || s == mine && i < int(l) {
			rank++
		}
	}
	return min(urgencyBase+rank, urgencyTop)
}

// add puts a packet into the open chunk, or into a new one.
func (n *lane) add(p *media.Packet) {
	n.look()
	if n.open != nil && !n.packer.Takes(p) {
		n.flush()
	}
	if n.open == nil {
		c := newChunk()
		c.lane, c.queued = n, time.Now()
		c.first = p.Number
		c.b = n.packer.Begin(c.b, n.sub, p)
		n.open = c
	} else {
		n.open.b = n.packer.Append(n.open.b, p)
	}
	n.open.last = p.Number
	if n.audio || n.packer.Full() || !n.replay && n.down.guard.on.Load() || p.Flags.Has(media.Last) {
		n.flush()
	}
}

// maxDatagram is the largest datagram that fits into a QUIC packet on the narrowest way.
const maxDatagram = 1120

func (n *lane) flush() {
	c := n.open
	n.open = nil
	// Sound that is replayed comes all at once, more than the datagrams that may wait.
	if n.audio && !n.replay && len(c.b) <= maxDatagram {
		n.turn++
		dropped := n.down.onOne(n.turn, c.b)
		sent, bytes := 1, len(c.b)
		if len(n.spare) > 0 {
			dropped += n.down.onOne(n.turn, n.spare)
			sent, bytes = 2, bytes+len(n.spare)
		}
		n.spare = append(n.spare[:0], c.b...)
		m := n.down.links.metrics
		m.sent.audio.Add(float64(sent))
		m.sent.bytes.Add(float64(bytes))
		m.dropAudio.Add(float64(dropped))
		n.sent(1, len(c.b))
		c.free()
		return
	}
	c.packets = n.packer.Packets()
	c.urgency = n.urgency
	late := n.down.links.cfg.Late
	if n.replay {
		c.urgency, late = urgencyReplay, replayLate
	}
	c.expires = c.queued.Add(late)
	n.down.queue.add(c)
	n.unsent = true
}

// hand wakes the dispatcher if there is something new in the queue: once for all that the track had, so that the chunks of a
// frame leave together.
func (n *lane) hand() {
	if n.unsent {
		n.unsent = false
		poke(n.down.queue.wake)
	}
}

// again queues packets anew that were lost on their way, and returns how many the ring still has. It is for the
// dispatcher; run goes on meanwhile.
func (n *lane) again(first, last uint64, urgency int8, now time.Time) (packets int) {
	var p media.Packet
	var packer wire.Packer
	var c *chunk
	flush := func() {
		if c != nil {
			c.packets = packer.Packets()
			packets += c.packets
			n.down.queue.put(c)
			c = nil
		}
	}
	for number := first; number <= last && number-first < 4*wire.ChunkPackets; number++ {
		if !n.track.Packet(n.layer, number, &p) {
			continue
		}
		if c != nil && (packer.Full() || !packer.Takes(&p)) {
			flush()
		}
		if c == nil {
			c = newChunk()
			c.lane, c.urgency, c.queued, c.expires = n, urgency, now, now.Add(n.down.links.cfg.Late)
			c.first = number
			c.b = packer.Begin(c.b, n.sub, &p)
		} else {
			c.b = packer.Append(c.b, &p)
		}
		c.last = number
	}
	flush()
	return packets
}

// sent counts what went out.
func (n *lane) sent(packets, bytes int) {
	n.packets.Add(uint64(packets))
	n.bytes.Add(uint64(bytes))
}

// dequeued notes that a chunk has left the queue.
func (n *lane) dequeued() {
	if n.queued.Add(-1) == replayLow {
		poke(n.wake)
	}
}
