package link

import (
	"context"
	"errors"
	"time"

	"github.com/quic-go/quic-go"
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
	trackedChunks = 4096
)

// dispatcher gives the chunks of a link to its stripes, one after the other, each to the stripe with the most room. QUIC
// would take any number of chunks at once, but what it has taken can no longer go another way, nor be overtaken or
// dropped; so a chunk waits here until a congestion window has room.
type dispatcher struct {
	// Set by newDispatcher, never changed.
	queue   *queue
	stripes func() []*stripe
	metrics *metrics

	// Owned by run.
	written  []inFlight // in order of time, from first on
	first    int
	progress time.Time // when a chunk was last written, or the queue was last empty
}

// inFlight is a chunk that QUIC has and that is perhaps not delivered yet.
type inFlight struct {
	stream  *quic.SendStream
	conn    *quic.Conn
	lost    uint64 // packets that the connection had lost before
	expires time.Time
}

func (d *dispatcher) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	d.progress = time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		d.cancelLate(now)
		sent, waiting := d.step(now)
		if sent || !waiting {
			d.progress = now
		}
		if sent {
			continue
		}
		wake, wait := d.queue.wake, d.nextLate(now)
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

// step writes the next chunk to the stripe with the most room. It reports whether it did, and whether a chunk waits.
func (d *dispatcher) step(now time.Time) (sent, waiting bool) {
	var best *stripe
	var stats quic.ConnectionStats
	var idle bool
	most := -1 << 31
	for _, s := range d.stripes() {
		if now.Before(s.blocked) {
			continue
		}
		st := s.conn.ConnectionStats()
		if room, none := s.window.headroom(now, &st); best == nil || room > most {
			best, most, stats, idle = s, room, st, none
		}
	}
	if best == nil {
		return false, d.queue.waiting() > 0
	}
	c, waiting := d.queue.take(now, most, idle)
	if c == nil {
		return false, waiting
	}
	stream, err := send(best.conn, c)
	if err != nil {
		// The peer allows no more streams or bytes now, or the connection is about to end. Another stripe may do.
		best.blocked = now.Add(blockedPause)
		d.queue.untake(c)
		return false, true
	}
	size := overhead(len(c.b))
	best.window.add(now, size)
	d.metrics.wait.Observe(now.Sub(c.queued).Seconds())
	d.metrics.sent.video.Add(float64(c.packets))
	d.metrics.sent.bytes.Add(float64(len(c.b)))
	c.lane.sent(c.packets, len(c.b))
	d.watch(inFlight{
		stream: stream, conn: best.conn, lost: stats.PacketsLost,
		expires: c.expires.Add(stats.SmoothedRTT),
	})
	c.lane.dequeued()
	c.free()
	return true, true
}

func send(conn *quic.Conn, c *chunk) (*quic.SendStream, error) {
	stream, err := conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	stream.SetPriority(c.urgency, false)
	if err := stream.TryWriteAll(c.b); err != nil {
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
		if f.conn.ConnectionStats().PacketsLost > f.lost {
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
