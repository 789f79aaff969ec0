package link

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/wire"
)

// The urgencies of a link's streams; lower goes first (RFC 9218 has eight).
const (
	urgencyControl = 0
	urgencyBase    = 1 // the lowest layer of a track
	urgencyTop     = 3 // its highest, if there are three
	urgencyParity  = 4 // what makes up for losses of the live layers
	urgencyReplay  = 5 // what a new child is given from the ring
	urgencyPadding = 7
	urgencies      = 8
)

// queuePackets bounds the queue of a link: 8,192 full packets are 10 MB, half a second of 160 Mbps. Where each is a chunk of
// its own, the buffers of the chunks take ten times as much.
const queuePackets = 8192

// chunk is a chunk on its way out.
type chunk struct {
	lane    *lane
	urgency int8
	packets int
	queued  time.Time
	expires time.Time // from then on it is not worth sending
	first   uint64    // the numbers of its packets
	last    uint64
	b       []byte
}

var chunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, 0, wire.MaxChunk)} }}

func newChunk() *chunk { return chunks.Get().(*chunk) }

func (c *chunk) free() {
	c.lane = nil
	c.b = c.b[:0]
	chunks.Put(c)
}

// queue holds the chunks that wait for room on a stripe: by urgency, then by age. When it is full, the oldest of the
// least urgent is dropped.
type queue struct {
	wake    chan struct{}
	metrics *metrics

	mu sync.Mutex
	// Guarded by mu.
	levels  [urgencies]fifo
	packets int
	waits   waits // since the last look
}

const (
	// someWait is how long a chunk may wait before more stripes would do good, longWait before fewer layers would.
	someWait = 15 * time.Millisecond
	longWait = 100 * time.Millisecond
)

// waits counts live chunks by how long they waited.
type waits struct {
	n, some, long int
	bytes         uint64 // that came to be sent
}

func (w *waits) add(o waits) {
	w.n += o.n
	w.some += o.some
	w.long += o.long
	w.bytes += o.bytes
}

func (w *waits) note(d time.Duration) {
	w.n++
	if d > someWait {
		w.some++
	}
	if d > longWait {
		w.long++
	}
}

// over reports whether more than one in twenty of all chunks belongs to the given ones.
func (w *waits) over(some int) bool { return 20*some > w.n }

// look returns how long chunks waited since the last look, and how long those do that wait still.
func (q *queue) look(now time.Time) waits {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.waits
	q.waits = waits{}
	for level := range q.levels[:urgencyParity] {
		if c := q.levels[level].peek(); c != nil && !c.lane.ended.Load() && now.Sub(c.queued) > someWait {
			w.note(now.Sub(c.queued))
		}
	}
	return w
}

func newQueue(m *metrics) *queue { return &queue{wake: make(chan struct{}, 1), metrics: m} }

// put adds a chunk and wakes the dispatcher.
func (q *queue) put(c *chunk) {
	q.add(c)
	poke(q.wake)
}

// add adds a chunk, for which the dispatcher is woken later.
func (q *queue) add(c *chunk) {
	c.lane.queued.Add(1)
	q.mu.Lock()
	q.levels[c.urgency].push(c)
	q.packets += c.packets
	if c.urgency < urgencyReplay {
		q.waits.bytes += uint64(len(c.b))
	}
	for level := urgencies - 1; q.packets > queuePackets; {
		if old := q.levels[level].pop(); old != nil {
			q.packets -= old.packets
			q.dropped(old, q.metrics.dropFull)
			old.lane.dequeued()
			old.free()
		} else {
			level--
		}
	}
	q.mu.Unlock()
}

// take removes the chunk to be sent next if it fits: an idle stripe takes any, another one needs room for half of it. It
// drops those that waited too long or that nobody wants any more, and reports whether any chunk waits.
func (q *queue) take(now time.Time, room int, idle bool) (c *chunk, waiting bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for level := range q.levels {
		for {
			c := q.levels[level].peek()
			if c == nil {
				break
			}
			ended := c.lane.ended.Load()
			fresh := now.Before(c.expires) && !ended
			if fresh && !idle && room < overhead(len(c.b))/2 {
				return nil, true
			}
			q.levels[level].pop()
			q.packets -= c.packets
			if !ended && level < urgencyParity {
				q.waits.note(now.Sub(c.queued))
			}
			if fresh {
				return c, true
			}
			if !ended {
				q.dropped(c, q.metrics.dropLate)
			}
			c.lane.dequeued()
			c.free()
		}
	}
	return nil, false
}

// dropped counts what is given up: packets, or parity.
func (q *queue) dropped(c *chunk, packets prometheus.Counter) {
	if c.urgency == urgencyParity {
		q.metrics.parityDropped.Inc()
		return
	}
	packets.Add(float64(c.packets))
}

// untake puts back the chunk that was taken last.
func (q *queue) untake(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.levels[c.urgency].unpop(c)
	q.packets += c.packets
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.packets
}

// fifo is a queue in a slice whose memory is used again.
type fifo struct {
	items []*chunk
	first int
}

func (f *fifo) push(c *chunk) {
	if f.first > 32 && f.first*2 > len(f.items) {
		n := copy(f.items, f.items[f.first:])
		clear(f.items[n:])
		f.items, f.first = f.items[:n], 0
	}
	f.items = append(f.items, c)
}

func (f *fifo) peek() *chunk {
	if f.first == len(f.items) {
		return nil
	}
	return f.items[f.first]
}

func (f *fifo) pop() *chunk {
	if f.first == len(f.items) {
		f.items, f.first = f.items[:0], 0
		return nil
	}
	c := f.items[f.first]
	f.items[f.first] = nil
	f.first++
	return c
}

// unpop puts back what was popped last.
func (f *fifo) unpop(c *chunk) {
	if f.first == 0 {
		f.items = slices.Insert(f.items, 0, c)
		return
	}
	f.first--
	f.items[f.first] = c
}
