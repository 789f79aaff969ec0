package link

import (
	"sync/atomic"
	"time"

	"lyceum/mesh/parity"
	"lyceum/mesh/wire"
)

const (
	// A block is closed an eighth of a round trip after its first chunk, but within these bounds: what it makes up for comes
	// so much later than it would have, and a repair by QUIC takes a round trip more.
	leastBlock = 4 * time.Millisecond
	mostBlock  = 25 * time.Millisecond
	// burstShare is the part of a block's chunks that bursts may cost in parity at most. To make up for nearly all of them would
	// take as many packets again; what is left is repaired by QUIC, a round trip later.
	burstShare = 3
)

// guard protects the live video of a link with parity: each chunk has a place in a block, and when the block is closed some
// parity shards follow it. It belongs to the dispatcher, but for what lanes and Status read.
type guard struct {
	// Set by newGuard, never changed.
	queue   *queue
	metrics *metrics
	owner   *lane // of the parity in the queue, as chunks have one

	on     atomic.Bool   // chunks have one packet, and a place in a block
	data   atomic.Uint64 // chunks that were protected
	parity atomic.Uint64 // parity shards that were made

	encoder *parity.Encoder // nil before the link was protected first
	opened  time.Time       // when the block got its first chunk
	age     time.Duration   // at which a block is closed
	late    time.Duration   // after which parity has no use: the repair is there
	loss    float64         // share of packets
	burst   float64         // packets that are lost in a row
	b       []byte          // the shard on its way out
}

func newGuard(q *queue, m *metrics) *guard {
	return &guard{queue: q, metrics: m, owner: &lane{wake: make(chan struct{}, 1)}, age: mostBlock, burst: 1}
}

// set says how the way is.
func (g *guard) set(rtt time.Duration, loss, burst float64) {
	g.age, g.late = min(max(rtt/8, leastBlock), mostBlock), rtt
	g.loss, g.burst = loss, burst
}

// turn turns the protection on or off. What was sent of a block that is open then goes without parity.
func (g *guard) turn(on bool) {
	if g.encoder == nil {
		g.encoder = new(parity.Encoder)
	}
	g.encoder.Close()
	g.on.Store(on)
}

// wrap returns the bytes with which a chunk goes out, and whether they have a place in the block.
func (g *guard) wrap(c *chunk) (b []byte, placed bool) {
	if !g.on.Load() || c.urgency >= urgencyParity || len(c.b) > wire.MaxShard {
		return c.b, false
	}
	block, index := g.encoder.Place()
	g.b = wire.AppendShard(g.b[:0], block, index, c.b)
	return g.b, true
}

// sent notes that a chunk has gone out in its place.
func (g *guard) sent(now time.Time, c *chunk) {
	if g.encoder.Len() == 0 {
		g.opened = now
	}
	g.encoder.Add(c.b)
	g.data.Add(1)
	if g.encoder.Full() {
		g.close(now)
	}
}

// open reports whether a block waits to be closed, and for how long yet.
func (g *guard) open(now time.Time) (left time.Duration, ok bool) {
	if !g.on.Load() || g.encoder.Len() == 0 {
		return 0, false
	}
	return g.age - now.Sub(g.opened), true
}

// tick closes the block when it is old enough.
func (g *guard) tick(now time.Time) {
	if left, ok := g.open(now); ok && left <= 0 {
		g.close(now)
	}
}

// close queues the parity of the block.
func (g *guard) close(now time.Time) {
	block, chunks := g.encoder.Place()
	need := parity.Need(int(chunks), g.loss, 1)
	if g.burst > 1 {
		need = max(need, min(parity.Need(int(chunks), g.loss, g.burst), (int(chunks)+burstShare-1)/burstShare))
	}
	for i := range need {
		c := newChunk()
		c.lane, c.urgency, c.packets, c.queued, c.expires = g.owner, urgencyParity, 1, now, now.Add(g.late)
		c.b = wire.AppendParity(c.b, &wire.Parity{Block: block, Chunks: chunks, Index: uint8(i), Bytes: g.encoder.Parity(i)})
		g.queue.put(c)
	}
	g.parity.Add(uint64(need))
	g.encoder.Close()
}
