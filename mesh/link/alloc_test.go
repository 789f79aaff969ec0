package link

import (
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

// hop is the code of a hop without the connections: a lane into a queue, and an intake into a track.
type hop struct {
	lane   *lane
	intake *intake
	frame  []media.Packet
}

func newHop() *hop {
	l := &Links{metrics: newMetrics(nil, &Links{})}
	l.cfg.fill()
	d := &downLink{queue: newQueue(l.metrics)}
	d.guard = newGuard(d.queue, l.metrics)
	d.links = l
	from, _ := relay.NewHub(relay.Config{}).Acquire(camera)
	from.Start(videoInfo(1, 3))
	to, _ := relay.NewHub(relay.Config{}).Acquire(camera)
	u := &upLink{}
	u.links = l
	in := &intake{up: u, track: to, wake: make(chan struct{}, 1)}
	in.accept(&wire.TrackState{Known: true, Live: true, Info: videoInfo(1, 3)})
	h := &hop{lane: &lane{down: d, sub: 1, track: from, layer: 2, wake: make(chan struct{}, 1)}, intake: in}
	for i := range wire.ChunkPackets {
		h.frame = append(h.frame, media.Packet{Layer: 2, Source: 1, Number: 1 << 40, Payload: payload(uint64(i), 1200)})
	}
	h.frame[wire.ChunkPackets-1].Flags = media.Last
	return h
}

// carry takes the next frame over the hop.
func (h *hop) carry(tb testing.TB) {
	for i := range h.frame {
		p := &h.frame[i]
		p.Number = h.frame[wire.ChunkPackets-1].Number + uint64(i) + 1
		if i == wire.ChunkPackets-1 {
			p.Number = h.frame[0].Number + uint64(i)
		}
		p.Frame++
		h.lane.add(p)
	}
	c, _ := h.lane.down.queue.take(time.Now(), 1<<20, false)
	if c == nil {
		tb.Fatal("no chunk is in the queue")
	}
	c.lane.dequeued()
	b := buffers.Get().(*buffer)
	b.n = copy(b.b[:], c.b)
	c.free()
	ch, err := wire.ParseChunk(b.b[:b.n])
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := h.intake.take(&ch, b, true); err != nil {
		tb.Fatal(err)
	}
	buffers.Put(b)
}

func TestHopCostsNoAllocation(t *testing.T) {
	h := newHop()
	for range 2048 { // until every slot of the ring has its memory
		h.carry(t)
	}
	if n := testing.AllocsPerRun(200, func() { h.carry(t) }); n >= 1 {
		t.Errorf("%v allocations for a frame of %d packets", n, len(h.frame))
	}
	if got, want := h.intake.packets.Load(), uint64(8*(2048+201)); got != want {
		t.Errorf("%d of %d packets came", got, want)
	}
}

func BenchmarkHop(b *testing.B) {
	h := newHop()
	for b.Loop() {
		h.carry(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/wire.ChunkPackets, "ns/packet")
}
