package link

import (
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/wire"
)

// stripe is one QUIC connection of a link.
type stripe struct {
	// Set when it joins, never changed.
	index  int
	conn   *quic.Conn
	stream *quic.Stream // opened by the child; carries Hello and, on stripe 0, the messages of the link
	out    *outbox
	born   time.Time

	// Owned by the dispatcher.
	window  window
	blocked time.Time // until when it takes nothing
	answers answers
	seen    traffic
}

func newStripe(index int, conn *quic.Conn, stream *quic.Stream) *stripe {
	stream.SetPriority(urgencyControl, false)
	return &stripe{index: index, conn: conn, stream: stream, out: newOutbox(), born: time.Now()}
}

// window estimates what a connection has under way, which quic-go does not tell: the bytes that were written to it
// during the last round trip, and what it found lost meanwhile and sends again.
type window struct {
	log    []written // in order of time, from first on
	first  int
	bytes  int       // sum of the log
	lost   uint64    // bytes, at the last look
	credit float64   // bytes that the connection's own pacing lets go at once
	filled time.Time // when credit was made up last
}

type written struct {
	at    time.Time
	bytes int
}

// overhead is what QUIC adds to a chunk, as measured.
func overhead(bytes int) int { return bytes + bytes*7/100 }

func (w *window) add(now time.Time, bytes int) {
	if w.first > 64 && w.first*2 > len(w.log) {
		w.log = w.log[:copy(w.log, w.log[w.first:])]
		w.first = 0
	}
	w.log = append(w.log, written{now, bytes})
	w.bytes += bytes
	w.credit = max(0, w.credit-float64(bytes))
}

const (
	// pacedBurst is what quic-go sends at once after a pause: ten packets. Beyond it, it spreads packets over the round trip.
	pacedBurst = 10 * 1280
	// pacedLag is how long a chunk may take to leave by that for its stripe to go on being preferred.
	pacedLag = time.Millisecond
)

// prompt reports whether a whole chunk would leave within pacedLag.
func (w *window) prompt(now time.Time, stats *quic.ConnectionStats) bool {
	if stats.SmoothedRTT <= 0 {
		return false
	}
	rate := float64(stats.CongestionWindow) / stats.SmoothedRTT.Seconds()
	w.credit = min(pacedBurst, w.credit+now.Sub(w.filled).Seconds()*rate)
	w.filled = now
	return w.credit+rate*pacedLag.Seconds() >= wire.MaxChunk
}

// headroom is how many more bytes the congestion window takes now; idle is true if nothing is under way.
func (w *window) headroom(now time.Time, stats *quic.ConnectionStats) (bytes int, idle bool) {
	if stats.BytesLost > w.lost {
		w.add(now, int(stats.BytesLost-w.lost))
	}
	w.lost = stats.BytesLost
	for w.first < len(w.log) && now.Sub(w.log[w.first].at) >= stats.SmoothedRTT {
		w.bytes -= w.log[w.first].bytes
		w.first++
	}
	return int(stats.CongestionWindow) - w.bytes, w.first == len(w.log)
}

// outboxSlots is how many datagrams may wait for a stripe: more than half a second of one audio track.
const outboxSlots = 32

// outbox holds the datagrams that wait for a stripe. When it is full, the oldest is dropped: late sound is worth nothing.
type outbox struct {
	wake chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	slots [outboxSlots][]byte // the memory of a slot is used again
	first int
	n     int
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put copies a datagram and reports whether an older one had to go.
func (o *outbox) put(b []byte) (dropped bool) {
	o.mu.Lock()
	if o.n == outboxSlots {
		o.first = (o.first + 1) % outboxSlots
		o.n--
		dropped = true
	}
	slot := &o.slots[(o.first+o.n)%outboxSlots]
	*slot = append((*slot)[:0], b...)
	o.n++
	o.mu.Unlock()
	poke(o.wake)
	return dropped
}

// take returns the oldest datagram in exchange for the memory of one that was taken before.
func (o *outbox) take(old []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == 0 {
		return nil
	}
	b := o.slots[o.first]
	o.slots[o.first] = old
	o.first = (o.first + 1) % outboxSlots
	o.n--
	return b
}

// drain sends datagrams until the connection ends. SendDatagram blocks while 32 wait inside quic-go.
func (o *outbox) drain(conn *quic.Conn) {
	var b []byte
	for {
		next := o.take(b)
		if next == nil {
			select {
			case <-o.wake:
				continue
			case <-conn.Context().Done():
				return
			}
		}
		b = next
		// An error means that the connection ends, or that the way has just become too narrow for this one datagram.
		_ = conn.SendDatagram(b)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
