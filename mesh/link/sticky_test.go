package link

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// sent are the QUIC packets that the stripes from a node to its child have sent since an earlier look.
func (n *node) sent(child string, before []uint64) (packets []uint64) {
	n.links.mu.Lock()
	down := n.links.downs[child]
	n.links.mu.Unlock()
	for i, s := range *down.stripes.Load() {
		sent := s.conn.ConnectionStats().PacketsSent
		if i < len(before) {
			sent -= before[i]
		}
		packets = append(packets, sent)
	}
	return packets
}

// TestCleanWayKeepsToOneStripe sends more chunks than a stripe may have open at one time, so that it also finds out whether
// the child gives the places of those that it has received back.
func TestCleanWayKeepsToOneStripe(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		before, from := home.sent("e", nil), p.number[0]
		p.write(1, 200, true)
		for range dialedUniStreams + 1000 {
			time.Sleep(2 * time.Millisecond)
			p.write(1, 200, false)
		}
		time.Sleep(time.Second)
		var most, all uint64
		for _, sent := range home.sent("e", before) {
			most, all = max(most, sent), all+sent
		}
		if most < dialedUniStreams || 10*most < 9*all {
			t.Errorf("the busiest of the stripes has sent %d of %d packets", most, all)
		}
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d packets are missing", n)
		}
	})
}

func TestLossyWaySpreadsOverTheStripes(t *testing.T) {
	inWorld(t, near, .01, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		edge.watch(camera, 0)
		time.Sleep(time.Second)
		p.play(2*time.Second, 16) // until a loss was seen
		before := home.sent("e", nil)
		p.play(4*time.Second, 16)
		var most, all uint64
		for _, sent := range home.sent("e", before) {
			most, all = max(most, sent), all+sent
		}
		if 10*most > 7*all {
			t.Errorf("the busiest of the stripes has sent %d of %d packets", most, all)
		}
	})
}

func TestStripeIsPromptWhileItsPacingAllows(t *testing.T) {
	now := time.Now()
	far := &quic.ConnectionStats{SmoothedRTT: 100 * time.Millisecond, CongestionWindow: firstWindow}
	var w window
	if !w.prompt(now, far) {
		t.Error("a stripe that has rested is not prompt")
	}
	w.add(now, 9000)
	if w.prompt(now.Add(time.Millisecond), far) {
		t.Error("a second chunk would wait for the pacing of a long way")
	}
	if !w.prompt(now.Add(30*time.Millisecond), far) {
		t.Error("a stripe is not prompt after a pause")
	}
	short := &quic.ConnectionStats{SmoothedRTT: 200 * time.Microsecond, CongestionWindow: firstWindow}
	now = now.Add(time.Second)
	for range 4 {
		w.add(now, 9000)
		if !w.prompt(now, short) {
			t.Error("a stripe of a short way is not prompt")
		}
	}
	if w.prompt(now, &quic.ConnectionStats{CongestionWindow: firstWindow}) {
		t.Error("a stripe whose round trip is not known is prompt")
	}
}
