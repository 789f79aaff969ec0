package link

import (
	"slices"
	"sync"
	"time"

	"lyceum/mesh/wire"
)

// The urgencies of a link's streams; lower goes first (RFC 9218 has eight).
const (
	urgencyControl = 0
	urgencyBase    = 1 // the lowest layer of a track
	urgencyTop     = 3 // its highest, if there are three
	urgencyReplay  = 5 // what a new child is given from the ring
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
}

func newQueue(m *metrics) *queue { return &queue{wake: make(chan struct{}, 1), metrics: m} }

func (q *queue) put(c *chunk) {
	c.lane.queued.Add(1)
	q.mu.Lock()
	q.levels[c.urgency].push(c)
	q.packets += c.packets
	for level := urgencies - 1; q.packets > queuePackets; {
		if old := q.levels[level].pop(); old != nil {
			q.packets -= old.packets
			q.metrics.dropFull.Add(float64(old.packets))
			old.lane.dequeued()
			old.free()
		} else {
			level--
		}
	}
	q.mu.Unlock()
	poke(q.wake)
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
			if fresh {
				return c, true
			}
			if !ended {
				q.metrics.dropLate.Add(float64(c.packets))
			}
			c.lane.dequeued()
			c.free()
		}
	}
	return nil, false
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
