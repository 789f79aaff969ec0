package link

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/wire"
)

// errNotReading ends a link whose child takes nothing: its streams or its windows have been used up for some time.
var errNotReading = errors.New("the child does not read")

const (
	// roomPoll is how often the dispatcher looks for room while there is none. QUIC does not tell when a window opens.
	roomPoll = time.Millisecond
	// stuckLimit is how long no stripe may take anything while chunks wait.
	stuckLimit = 3 * time.Second
	// blockedPause is how long a stripe is left alone that the peer keeps from taking anything.
	blockedPause = 5 * time.Millisecond
	// trackedChunks bounds the chunks that are watched for being late; beyond it the oldest are left to QUIC.
	trackedChunks = 8192
)

// dispatcher gives the chunks of a link to its stripes, one after the other, each to the stripe with the most room. QUIC
// would take any number of chunks at once, but what it has taken can no longer go another way, nor be overtaken or
// dropped; so a chunk waits here until a congestion window has room.
type dispatcher struct {
	// Set by newDispatcher, never changed.
	queue   *queue
	stripes func() []*stripe
	metrics *metrics
	govern  *governor
	guard   *guard

	// Owned by run.
	governed time.Time  // when the link was looked at last
	written  []inFlight // in order of time, from first on
	first    int
	last     *stripe   // that took a chunk last; nil before the first
	progress time.Time // when a chunk was last written, or the queue was last empty
}

// inFlight is a chunk that QUIC has and that is perhaps not delivered yet.
type inFlight struct {
	stream      *quic.SendStream // nil for one that is not taken back
	conn        *quic.Conn
	lost        uint64 // packets that the connection had lost before
	at          time.Time
	expires     time.Time
	lane        *lane
	urgency     int8
	first, last uint64 // packets
}

func (d *dispatcher) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	d.progress = time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(d.governed) >= governEvery {
			d.governed = now
			if err := d.govern.tick(now, d); err != nil {
				return err
			}
		}
		d.cancelLate(now)
		d.guard.tick(now)
		d.govern.pad(now, d)
		sent, waiting := d.step(now)
		if sent || !waiting {
			d.progress = now
		}
		if sent {
			continue
		}
		wake, wait := d.queue.wake, min(d.nextLate(now), governEvery)
		if d.govern.probe != nil {
			wait = min(wait, probeStep)
		}
		if left, ok := d.guard.open(now); ok {
			wait = min(wait, max(left, 0))
		}
		if waiting {
			if now.Sub(d.progress) > stuckLimit {
				return errNotReading
			}
			wake, wait = nil, roomPoll // there is no room, whatever else may come
		}
		timer.Reset(wait)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// best finds the stripe with the most room. One that does not answer is taken only if none does. On a way that loses nothing
// the stripe that was taken last is taken again while it has room enough: chunks that follow one another on one connection
// share its packets, acknowledgements and wake-ups at both ends.
func (d *dispatcher) best(now time.Time) (best *stripe, stats quic.ConnectionStats, room int, idle bool) {
	var mute bool
	stripes := d.stripes()
	if s := d.last; s != nil && slices.Contains(stripes, s) && d.govern.clean() && !now.Before(s.blocked) && d.govern.usable(s) {
		st := s.conn.ConnectionStats()
		s.answers.look(now, &st)
		r, none := s.window.headroom(now, &st)
		if r >= wire.MaxChunk && s.window.prompt(now, &st) && s.answers.silence(now, &st) <= 0 {
			return s, st, r, none
		}
	}
	for _, s := range stripes {
		if now.Before(s.blocked) || !d.govern.usable(s) {
			continue
		}
		st := s.conn.ConnectionStats()
		s.answers.look(now, &st)
		silent := s.answers.silence(now, &st) > 0
		r, none := s.window.headroom(now, &st)
		if best == nil || mute && !silent || mute == silent && r > room {
			best, stats, room, idle, mute = s, st, r, none, silent
		}
	}
	return best, stats, room, idle
}

// step writes the next chunk to the stripe with the most room. It reports whether it did, and whether a chunk waits.
func (d *dispatcher) step(now time.Time) (sent, waiting bool) {
	if !d.govern.pacer.ready(now) {
		return false, d.queue.waiting() > 0
	}
	best, stats, most, idle := d.best(now)
	if best == nil {
		return false, d.queue.waiting() > 0
	}
	c, waiting := d.queue.take(now, most, idle)
	if c == nil {
		return false, waiting
	}
	b, placed := d.guard.wrap(c)
	stream, err := send(best.conn, c.urgency, b)
	if err != nil {
		// The peer allows no more streams or bytes now, or the connection is about to end. Another stripe may do.
		best.blocked = now.Add(blockedPause)
		d.queue.untake(c)
		return false, true
	}
	size := overhead(len(b))
	d.last = best
	best.window.add(now, size)
	best.answers.write(now)
	d.govern.pacer.spend(size)
	d.metrics.sent.bytes.Add(float64(len(b)))
	if c.urgency == urgencyParity {
		d.metrics.paritySent.Inc()
		c.lane.dequeued()
		c.free()
		return true, true
	}
	if placed {
		// One packet, which parity makes up for if it is lost: to take it back would cost as much as to send it again.
		d.guard.sent(now, c)
		stream = nil
	}
	d.metrics.wait.Observe(now.Sub(c.queued).Seconds())
	d.metrics.sent.video.Add(float64(c.packets))
	c.lane.sent(c.packets, len(c.b))
	d.watch(inFlight{
		stream: stream, conn: best.conn, lost: stats.PacketsLost, at: now,
		expires: c.expires.Add(stats.SmoothedRTT), lane: c.lane, urgency: c.urgency, first: c.first, last: c.last,
	})
	c.lane.dequeued()
	c.free()
	return true, true
}

// padding is what a probe sends. Its first byte is that of no chunk, so that the child drops it.
var padding [4096]byte

// pad writes about n bytes of padding where there is most room, if there is, and returns how many they were.
func (d *dispatcher) pad(now time.Time, n int) int {
	n = min(n, len(padding))
	s, _, room, idle := d.best(now)
	if s == nil || room < n && !idle {
		return 0
	}
	stream, err := s.conn.OpenUniStream()
	if err != nil {
		return 0
	}
	stream.SetPriority(urgencyPadding, false)
	if err := stream.TryWriteAll(padding[:n]); err != nil {
		stream.CancelWrite(streamUnsent)
		return 0
	}
	_ = stream.Close()
	s.window.add(now, overhead(n))
	s.answers.write(now)
	return n
}

// resend gives what a stripe has that does not answer to the others, as far as it may not have arrived and the rings still
// have it. The child drops what it gets twice.
func (d *dispatcher) resend(now time.Time, s *stripe, rtt time.Duration) {
	for _, f := range d.written[d.first:] {
		if f.conn != s.conn || f.at.Before(s.answers.since.Add(-rtt)) || f.lane.ended.Load() {
			continue
		}
		d.metrics.resent.Add(float64(f.lane.again(f.first, f.last, f.urgency, now)))
	}
}

func send(conn *quic.Conn, urgency int8, b []byte) (*quic.SendStream, error) {
	stream, err := conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	stream.SetPriority(urgency, false)
	if err := stream.TryWriteAll(b); err != nil {
		stream.CancelWrite(streamUnsent)
		return nil, err
	}
	return stream, stream.Close()
}

// The codes with which a stream is cancelled.
const (
	streamLate   quic.StreamErrorCode = 1
	streamUnsent quic.StreamErrorCode = 2
)

func (d *dispatcher) watch(f inFlight) {
	if len(d.written)-d.first >= trackedChunks {
		d.written[d.first] = inFlight{}
		d.first++
	}
	if d.first > 64 && d.first*2 > len(d.written) {
		n := copy(d.written, d.written[d.first:])
		clear(d.written[n:])
		d.written, d.first = d.written[:n], 0
	}
	d.written = append(d.written, f)
}

// cancelLate takes back the chunks whose time is over. QUIC does not tell which chunks have arrived; where nothing was
// lost since, all have, and the reset of one that has arrived costs its connection a few bytes and nobody else anything.
func (d *dispatcher) cancelLate(now time.Time) {
	for d.first < len(d.written) && !now.Before(d.written[d.first].expires) {
		f := &d.written[d.first]
		if f.stream != nil && f.conn.ConnectionStats().PacketsLost > f.lost {
			f.stream.CancelWrite(streamLate)
			d.metrics.cancelled.Inc()
		}
		*f = inFlight{}
		d.first++
	}
}

// nextLate is how long until the next chunk may be late.
func (d *dispatcher) nextLate(now time.Time) time.Duration {
	if d.first == len(d.written) {
		return time.Minute
	}
	return max(d.written[d.first].expires.Sub(now), roomPoll)
}
