package link

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

func testLane() *lane { return &lane{wake: make(chan struct{}, 1)} }

func put(q *queue, n *lane, urgency int8, packets int, expires time.Time) {
	c := newChunk()
	c.lane, c.urgency, c.packets, c.queued, c.expires = n, urgency, packets, time.Now(), expires
	c.b = append(c.b, make([]byte, packets*1000)...)
	q.put(c)
}

func TestQueueGivesTheMostUrgentFirst(t *testing.T) {
	q, n := newQueue(newMetrics(nil, &Links{})), testLane()
	now := time.Now()
	for _, u := range []int8{3, 1, 5, 1} {
		put(q, n, u, int(u), now.Add(time.Second))
	}
	put(q, n, 0, 8, now.Add(-time.Second)) // too late
	ended := testLane()
	ended.ended.Store(true)
	put(q, ended, 0, 7, now.Add(time.Second))
	c, _ := q.take(now, 1<<20, false)
	q.untake(c)
	for _, want := range []int{1, 1, 3, 5} {
		c, waiting := q.take(now, 1<<20, false)
		if c == nil || c.packets != want || !waiting {
			t.Fatalf("got %+v, want %d packets", c, want)
		}
		n.dequeued()
	}
	if c, waiting := q.take(now, 1<<20, false); c != nil || waiting || q.waiting() != 0 || n.queued.Load() != 0 {
		t.Errorf("left: %+v, %d packets, %d chunks", c, q.waiting(), n.queued.Load())
	}
}

func TestChunkWaitsForRoomForHalfOfIt(t *testing.T) {
	q, n := newQueue(newMetrics(nil, &Links{})), testLane()
	now := time.Now()
	put(q, n, 1, 8, now.Add(time.Second))
	if c, waiting := q.take(now, 4000, false); c != nil || !waiting {
		t.Error("taken without room")
	}
	if c, _ := q.take(now, -1, true); c == nil {
		t.Error("not taken by an idle stripe")
	}
}

func TestFullQueueDropsTheOldestOfTheLeastUrgent(t *testing.T) {
	m := newMetrics(nil, &Links{})
	q, base, top := newQueue(m), testLane(), testLane()
	expires := time.Now().Add(time.Second)
	for range queuePackets / 8 {
		put(q, top, 3, 8, expires)
	}
	put(q, top, 3, 7, expires) // one old chunk goes for it
	put(q, base, 1, 8, expires)
	if q.waiting() > queuePackets {
		t.Errorf("%d packets wait", q.waiting())
	}
	if c, _ := q.take(time.Now(), 1<<20, false); c == nil || c.lane != base {
		t.Error("the base layer had to go")
	}
	if n := top.queued.Load(); n != queuePackets/8-1 {
		t.Errorf("%d chunks of the top layer are left", n)
	}
}

func TestWindowForgetsWhatIsARoundTripOld(t *testing.T) {
	var w window
	stats := &quic.ConnectionStats{SmoothedRTT: 100 * time.Millisecond, CongestionWindow: 40_000}
	now := time.Now()
	for i := range 1000 {
		w.headroom(now, stats)
		w.add(now, 1000)
		now = now.Add(10 * time.Millisecond)
		want := 40_000 - min(i+1, 10)*1000
		if i >= 9 {
			want += 1000 // the first of ten is a round trip old now
		}
		if room, idle := w.headroom(now, stats); room != want || idle {
			t.Fatalf("after %d writes there is room for %d, want %d (idle %v)", i+1, room, want, idle)
		}
	}
	if room, idle := w.headroom(now.Add(time.Second), stats); room != 40_000 || !idle {
		t.Errorf("room for %d, idle %v", room, idle)
	}
	if len(w.log) > 256 {
		t.Errorf("the log has grown to %d", len(w.log))
	}
}
