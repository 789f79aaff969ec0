package link

import (
	"runtime"
	"testing"
	"time"

	"lyceum/mesh/parity"
	"lyceum/mesh/wire"
)

// lossyClass plays a camera over a way with a round trip of 100 ms, and returns both ends and how long packets took.
func lossyClass(t *testing.T, w *world, version uint64, d time.Duration) (home, edge *node, delays []time.Duration) {
	t.Helper()
	home = w.node("h", "")
	edge = w.boot("e", "h", 1, w.authority, func(c *LinksConfig) { c.Version = version })
	p := home.publish(camera, 1)
	v := edge.watch(camera, 0)
	p.play(5*time.Second, 10)
	from, since := p.number[0], v.since(t)
	p.play(d, 10)
	time.Sleep(2 * time.Second)
	if n := v.missing(t, 0, from, p.number[0]); n != 0 {
		t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
	}
	return home, edge, since()
}

func TestParityMakesUpForLosses(t *testing.T) {
	inWorld(t, 50*time.Millisecond, .01, func(t *testing.T, w *world) {
		home, edge, d := lossyClass(t, w, wire.Version, 20*time.Second)
		s := home.links.Status()[0]
		t.Logf("p50 %v p99.7 %v max %v, repaired %v, parity %.2f", at(d, .5), at(d, .997), at(d, 1),
			edge.metric("lyceum_link_packets_repaired_total"), s.Parity)
		if at(d, .997) > 90*time.Millisecond {
			t.Errorf("three packets of a thousand took %v", at(d, .997))
		}
		if n := edge.metric("lyceum_link_packets_repaired_total"); n < 30 {
			t.Errorf("%v packets were made up for", n)
		}
		if !s.Protected || s.Parity < .05 || s.Parity > .4 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestOlderChildGetsPlainChunks(t *testing.T) {
	inWorld(t, 50*time.Millisecond, .01, func(t *testing.T, w *world) {
		home, edge, d := lossyClass(t, w, 1, 20*time.Second)
		t.Logf("p50 %v p99.7 %v max %v", at(d, .5), at(d, .997), at(d, 1))
		if at(d, .997) < 140*time.Millisecond {
			t.Errorf("without parity three packets of a thousand took %v", at(d, .997))
		}
		if home.links.Status()[0].Protected || edge.metric("lyceum_link_parity_packets_total") != 0 {
			t.Error("parity went to a child that does not know it")
		}
	})
}

func TestParityMakesUpForBursts(t *testing.T) {
	inWorld(t, 50*time.Millisecond, .01, func(t *testing.T, w *world) {
		w.net.mu.Lock()
		w.net.burst = 3
		w.net.mu.Unlock()
		home, edge, d := lossyClass(t, w, wire.Version, 20*time.Second)
		t.Logf("p50 %v p99 %v p99.7 %v max %v, repaired %v, parity %.2f", at(d, .5), at(d, .99), at(d, .997), at(d, 1),
			edge.metric("lyceum_link_packets_repaired_total"), home.links.Status()[0].Parity)
		if at(d, .99) > 90*time.Millisecond {
			t.Errorf("one packet of a hundred took %v", at(d, .99))
		}
		if n := home.links.Status()[0].Parity; n > .6 {
			t.Errorf("%v of all packets were parity", n)
		}
	})
}

func TestParityEndsOnACleanWay(t *testing.T) {
	inWorld(t, 50*time.Millisecond, .01, func(t *testing.T, w *world) {
		home, _, _ := lossyClass(t, w, wire.Version, time.Second)
		if !home.links.Status()[0].Protected {
			t.Fatal("it did not begin")
		}
		w.net.mu.Lock()
		w.net.loss = 0
		w.net.mu.Unlock()
		again := &publisher{track: home.trackOf(camera), layers: 1, number: []uint64{0}, frame: 1 << 42}
		again.number[0] = again.next(0)
		again.play(90*time.Second, 10)
		if home.links.Status()[0].Protected {
			t.Error("it goes on after 27,000 packets of which none was lost")
		}
	})
}

func TestNearNodesHaveNoParity(t *testing.T) {
	inWorld(t, 5*time.Millisecond, .01, func(t *testing.T, w *world) {
		home, edge, _ := lossyClass(t, w, wire.Version, 10*time.Second)
		if home.links.Status()[0].Protected || edge.metric("lyceum_link_parity_packets_total") != 0 {
			t.Error("there is parity where a repair takes 10 ms")
		}
	})
}

// guarded is a hop whose chunks are protected, without the connections.
func guarded() (h *hop, u *upLink) {
	h = newHop()
	g := h.lane.down.guard
	g.set(100*time.Millisecond, .01, 1)
	g.turn(true)
	u = h.intake.up
	u.subs = map[uint64]*intake{1: h.intake}
	return h, u
}

// guard takes the next frame over the hop; lost says which of its chunks do not come.
func (h *hop) guard(tb testing.TB, u *upLink, lost func(i int) bool) {
	for i := range h.frame {
		p := &h.frame[i]
		p.Number += uint64(len(h.frame))
		p.Frame++
		h.lane.add(p)
	}
	d := h.lane.down
	now := time.Now()
	for i := 0; ; i++ {
		if i == len(h.frame) {
			d.guard.tick(now.Add(time.Minute))
		}
		c, _ := d.queue.take(now, 1<<20, false)
		if c == nil {
			if i < len(h.frame) {
				tb.Fatalf("%d chunks of a frame of %d packets", i, len(h.frame))
			}
			return
		}
		b, placed := d.guard.wrap(c)
		if placed != (i < len(h.frame)) {
			tb.Fatalf("chunk %d is protected: %v", i, placed)
		}
		if !lost(i) {
			in := buffers.Get().(*buffer)
			in.n = copy(in.b[:], b)
			if kept, err := u.take(in.b[:in.n], in, true); kept || err != nil {
				tb.Fatal(kept, err)
			}
			buffers.Put(in)
		}
		if placed {
			d.guard.sent(now, c)
		}
		c.lane.dequeued()
		c.free()
	}
}

func TestProtectedHopCostsNoAllocation(t *testing.T) {
	h, u := guarded()
	for i := range h.frame {
		h.frame[i].Number += uint64(i)
	}
	turn := 0
	frame := func() {
		turn++
		h.guard(t, u, func(i int) bool { return i == turn%len(h.frame) })
	}
	for range 2048 { // until every slot of the ring has its memory
		frame()
	}
	if n := testing.AllocsPerRun(200, frame); n >= 1 && !raced {
		t.Errorf("%v allocations for a frame of %d packets", n, len(h.frame))
	}
	if got, want := h.intake.packets.Load(), uint64(8*(2048+201)); got != want {
		t.Errorf("%d of %d packets came", got, want)
	}
}

func BenchmarkProtectedHop(b *testing.B) {
	h, u := guarded()
	for i := range h.frame {
		h.frame[i].Number += uint64(i)
	}
	for b.Loop() {
		h.guard(b, u, func(int) bool { return false })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/wire.ChunkPackets, "ns/packet")
}

// forged is parity of one chunk of garbage.
func forged() []byte {
	var e parity.Encoder
	e.Add([]byte{wire.KindChunk, 255, 1})
	return wire.AppendParity(nil, &wire.Parity{Chunks: 1, Bytes: e.Parity(0)})
}

func TestEndlessBlocksCostBoundedMemory(t *testing.T) {
	_, u := guarded()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	bytes := make([]byte, 1200)
	for n := range uint32(1000) {
		for i := range uint8(parity.MaxData - parity.MaxParity - 1) {
			_ = u.shard(n, i, bytes[:1000])
		}
		for i := range uint8(parity.MaxParity) {
			if err := u.parity(&wire.Parity{Block: n, Chunks: parity.MaxData, Index: i, Bytes: bytes}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := heap() - before; n > 10<<20 {
		t.Errorf("%d bytes are held after 63,000 shards", n)
	}
	if u.mender.decoder.Dropped() != 1000-parity.Blocks {
		t.Errorf("%d blocks were given up", u.mender.decoder.Dropped())
	}
}
