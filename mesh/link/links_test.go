package link

import (
	"slices"
	"testing"
	"time"

	"lyceum/mesh/media"
)

const near = 10 * time.Millisecond

func TestOnlyWantedLayersCross(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 3)
		v := edge.watch(camera, 0, 2)
		time.Sleep(time.Second)
		from := slices.Clone(p.number)
		p.play(2*time.Second, 4)
		time.Sleep(time.Second)
		for _, l := range []media.Layer{0, 2} {
			if n := v.missing(t, l, from[l], p.number[l]); n != 0 {
				t.Errorf("layer %d misses %d packets", l, n)
			}
		}
		if n, ok := v.track.Head(1); ok {
			t.Errorf("layer 1 came to packet %d though nobody wants it", n)
		}
		// A packet comes as it was born.
		var born, came media.Packet
		p.track.Packet(2, from[2]+7, &born)
		if !v.track.Packet(2, from[2]+7, &came) {
			t.Fatal("packet 7 is not in the ring")
		}
		if string(born.Payload) != string(came.Payload) {
			t.Error("the payload has changed")
		}
		born.Payload, came.Payload = nil, nil
		if born.Number != came.Number || born.Frame != came.Frame || born.Flags != came.Flags || born.Source != came.Source ||
			born.Timestamp != came.Timestamp || born.Captured != came.Captured {
			t.Errorf("born %+v, came %+v", born, came)
		}
		st := v.track.State()
		want := videoInfo(1, 3)
		if !st.Live || st.Hops != 1 || !sameInfo(&st.Info, &want) {
			t.Errorf("state %+v", st)
		}
		if d := p.track.TakeDemand(); d.Layers != media.LayersOf(0, 2) {
			t.Errorf("the home's demand is %b", d.Layers)
		}
	})
}

func TestStateAndReportsFollow(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		if v.track.State().Live {
			t.Fatal("live before anybody publishes")
		}
		p := home.publish(camera, 1)
		clock := media.Clock{NTP: 99, RTP: 7}
		p.track.Report(0, clock)
		time.Sleep(time.Second)
		if st := v.track.State(); !st.Live || st.Clocks[0] != clock {
			t.Fatalf("state %+v", st)
		}
		clock.RTP++
		p.track.Report(0, clock)
		p.track.Start(videoInfo(1, 2)) // a second layer appears
		time.Sleep(time.Second)
		if st := v.track.State(); st.Clocks[0] != clock || len(st.Info.Layers) != 2 {
			t.Fatalf("state %+v", st)
		}
		clock.RTP++
		p.track.Report(0, clock)
		time.Sleep(time.Second)
		if st := v.track.State(); st.Clocks[0] != clock {
			t.Fatalf("clocks %+v", st.Clocks)
		}
		p.track.Stop()
		time.Sleep(time.Second)
		if v.track.State().Live {
			t.Fatal("still live")
		}
	})
}

func TestAudioIsSentAgainAndTakenOnce(t *testing.T) {
	inWorld(t, near, 0.05, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(microphone, 1)
		v := edge.watch(microphone, 0)
		time.Sleep(3 * time.Second)
		from := p.number[0]
		for range 1000 {
			p.write(1, 80, false)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		missing := v.missing(t, 0, from, p.number[0])
		if missing > 3 { // 5 % of each of three copies leave 0.1
			t.Errorf("%d of 1000 packets are missing", missing)
		}
		if d := edge.metric("lyceum_link_packets_duplicate_total"); d < 800 {
			t.Errorf("only %v second copies came", d)
		}
		// Two copies as long as no loss is known, then three; those of the last packets wait for the next.
		if s := home.metric("lyceum_link_packets_total", "sent", "audio"); s < 2500 || s > 2995 {
			t.Errorf("%v audio packets were sent", s)
		}
	})
}

func TestLargeAudioPacketsGoAsChunks(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(microphone, 1)
		v := edge.watch(microphone, 0)
		time.Sleep(time.Second)
		from := p.number[0]
		p.write(1, media.MaxPayload, false)
		time.Sleep(time.Second)
		if v.missing(t, 0, from, p.number[0]) != 0 {
			t.Error("it did not come")
		}
	})
}

func TestChainOfThree(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, mid, edge := w.node("h", ""), w.node("m", "h"), w.node("e", "m")
		p := home.publish(camera, 2)
		v := edge.watch(camera, 1)
		time.Sleep(2 * time.Second)
		from := slices.Clone(p.number)
		p.play(2*time.Second, 4)
		time.Sleep(time.Second)
		if n := v.missing(t, 1, from[1], p.number[1]); n != 0 {
			t.Errorf("%d packets are missing", n)
		}
		if st := v.track.State(); st.Hops != 2 {
			t.Errorf("the home is %d hops away", st.Hops)
		}
		status := edge.links.Status()
		if len(status) != 1 || len(status[0].Subscriptions) != 1 {
			t.Fatalf("status %+v", status)
		}
		if path := status[0].Subscriptions[0].Path; !slices.Equal(path, []string{"m", "h"}) {
			t.Errorf("path %v", path)
		}
		s := status[0]
		if s.Stripes != 4 || s.Direction != "up" || s.Peer != "m" || s.RTT < 20 || s.RTT > 25 || s.Offset != 0 || s.Packets == 0 {
			t.Errorf("status %+v", s)
		}
		// A keyframe that the edge needs reaches the teacher; one that the teacher made meanwhile is not asked for.
		v.reader.RequestKeyframe(1)
		time.Sleep(time.Second)
		if d := p.track.TakeDemand(); d.Keyframes != media.LayersOf(1) {
			t.Errorf("keyframes asked of the teacher: %b", d.Keyframes)
		}
		for _, n := range []*node{home, mid} {
			if got := n.metric("lyceum_link_links", "down"); got != 1 {
				t.Errorf("%s has %v children", n.id, got)
			}
		}
	})
}

func TestLateSubscriberStartsAtTheKeyframe(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		key := p.number[0]
		p.play(3*time.Second, 8)
		began := time.Now()
		v := edge.watch(camera, 0)
		for v.missing(t, 0, key, p.number[0]) > 0 {
			if time.Since(began) > time.Second {
				t.Fatalf("%d packets since the keyframe are missing", v.missing(t, 0, key, p.number[0]))
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("all %d packets since the keyframe came in %v", p.number[0]-key, time.Since(began))
		if d := p.track.TakeDemand(); d.Keyframes != 0 {
			t.Error("the teacher was asked for a keyframe")
		}
	})
}

func TestTwoReadersAreOneSubscription(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 3)
		a, b := edge.watch(camera, 0), edge.watch(camera, 0, 1)
		time.Sleep(time.Second)
		from := slices.Clone(p.number)
		p.play(time.Second, 4)
		time.Sleep(time.Second)
		if a.missing(t, 0, from[0], p.number[0])+b.missing(t, 0, from[0], p.number[0])+b.missing(t, 1, from[1], p.number[1]) != 0 {
			t.Error("packets are missing")
		}
		subs := home.links.Status()[0].Subscriptions
		if len(subs) != 1 || subs[0].Layers != media.LayersOf(0, 1) {
			t.Errorf("subscriptions %+v", subs)
		}
		sent := p.number[0] - from[0] + p.number[1] - from[1]
		if got := home.metric("lyceum_link_packets_total", "sent", "video"); got != float64(sent) {
			t.Errorf("%v packets were sent for %d", got, sent)
		}
		b.leave()
		time.Sleep(9 * time.Second)
		if d := p.track.TakeDemand(); d.Layers != media.LayersOf(0, 1) {
			t.Errorf("the home's demand is %b though the reader of layer 1 may come back", d.Layers)
		}
		time.Sleep(2 * time.Second)
		if d := p.track.TakeDemand(); d.Layers != media.LayersOf(0) {
			t.Errorf("the home's demand is %b after the reader of layer 1 left", d.Layers)
		}
	})
}

func TestReleaseUnsubscribesAndIdleLinksEnd(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		v.leave()
		time.Sleep(5 * time.Second)
		if s := home.links.Status(); len(s) != 1 || len(s[0].Subscriptions) != 0 {
			t.Errorf("status %+v", s)
		}
		if d := p.track.TakeDemand(); d.Layers != 0 {
			t.Errorf("the home's demand is %b", d.Layers)
		}
		time.Sleep(40 * time.Second)
		if len(home.links.Status())+len(edge.links.Status()) != 0 {
			t.Error("the idle link is still there")
		}
		if home.endpoint.count() != 0 || edge.endpoint.count() != 0 {
			t.Error("the idle link's connections are still there")
		}
		v = edge.watch(camera, 0)
		time.Sleep(time.Second)
		from := p.number[0]
		p.play(time.Second, 2)
		time.Sleep(time.Second)
		if v.missing(t, 0, from, p.number[0]) != 0 {
			t.Error("packets are missing on a new link")
		}
	})
}
