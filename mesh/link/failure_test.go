package link

import (
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
)

func TestRestartedParentFlowsAgain(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		home.publish(camera, 1).play(time.Second, 2)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		if !v.track.State().Live {
			t.Fatal("not live")
		}
		// The process is killed: nobody says goodbye.
		w.net.sever(host("h"), true)
		home.stop()
		time.Sleep(3 * time.Second)
		if !v.track.State().Live {
			t.Error("the track ended with the link though its home may come back")
		}
		w.net.sever(host("h"), false)
		home = w.node("h", "")
		p := home.publish(camera, 1)
		p.number[0], p.frame = 1<<45, 1<<45
		time.Sleep(6 * time.Second)
		from := p.number[0]
		p.play(time.Second, 2)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d packets are missing", n)
		}
	})
}

func TestSilentParentIsReplacedWithoutLoss(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		w.node("a", "h")
		b := w.node("b", "h")
		edge := w.node("e", "a")
		p := home.publish(camera, 1)
		b.watch(camera, 0) // another student keeps it warm
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		from := p.number[0]
		done := make(chan struct{})
		go func() {
			p.play(10*time.Second, 8)
			close(done)
		}()
		time.Sleep(5 * time.Second)
		w.net.sever(host("a"), true)
		cut := time.Now()
		for len(edge.links.Status()) > 0 {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(cut); d > time.Second {
			t.Errorf("the silence was noticed after %v", d)
		}
		edge.router.set(Hop{Node: "b", Epoch: epoch}, epoch)
		<-done
		time.Sleep(2 * time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
		}
		if st := v.track.State(); st.Hops != 2 {
			t.Errorf("%d hops", st.Hops)
		}
	})
}

func TestTrackWithoutAWayHomeEnds(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, mid, edge := w.node("h", ""), w.node("m", "h"), w.node("e", "m")
		home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		home.stop()
		time.Sleep(5 * time.Second)
		if !v.track.State().Live {
			t.Error("the edge gave up at once")
		}
		time.Sleep(10 * time.Second)
		if v.track.State().Live {
			t.Error("still live though the home is gone")
		}
		_ = mid
	})
}

func TestHomeMovesToThisNode(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		edge.router.set(Hop{Self: true, Epoch: epoch + 1}, epoch+1)
		home.router.set(Hop{Node: "e", Epoch: epoch + 1}, epoch+1)
		time.Sleep(time.Second)
		if st := v.track.State(); st.Live || st.Hops != 0 {
			t.Errorf("state %+v at the new home before anybody publishes", st)
		}
	})
}

func TestStaleEpochIsRefused(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		home.router.set(Hop{Self: true, Epoch: epoch + 1}, epoch+1)
		home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		if v.track.State().Live {
			t.Fatal("served for an epoch that is over")
		}
		if home.metric("lyceum_link_refused_total", "stale epoch") == 0 {
			t.Error("no refusal was counted")
		}
		edge.router.set(Hop{Node: "h", Epoch: epoch + 1}, epoch+1)
		time.Sleep(time.Second)
		if !v.track.State().Live {
			t.Fatal("not served for the present epoch")
		}
		// The parent learns of a newer owner first: it ends what it serves.
		before := home.metric("lyceum_link_refused_total", "stale epoch")
		home.router.set(Hop{Self: true, Epoch: epoch + 2}, epoch+2)
		time.Sleep(time.Second)
		if home.metric("lyceum_link_refused_total", "stale epoch") == before || len(home.links.Status()[0].Subscriptions) != 0 {
			t.Error("the subscription of the older epoch goes on")
		}
		// The child learns first: the parent is behind until it learns too.
		edge.router.set(Hop{Node: "h", Epoch: epoch + 3}, epoch+3)
		time.Sleep(time.Second)
		if home.metric("lyceum_link_refused_total", "behind") == 0 {
			t.Error("a parent that is behind did not say so")
		}
	})
}

func TestLoopOfTwoIsRefused(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		a, b := w.node("a", "b"), w.node("b", "a")
		va, vb := a.watch(camera, 0), b.watch(camera, 0)
		time.Sleep(5 * time.Second)
		if a.metric("lyceum_link_refused_total", "loop")+b.metric("lyceum_link_refused_total", "loop") == 0 {
			t.Error("no refusal was counted")
		}
		// It heals when one of them is the home.
		b.router.set(Hop{Self: true, Epoch: epoch}, epoch)
		b.publish(camera, 1)
		time.Sleep(7 * time.Second)
		if !va.track.State().Live || !vb.track.State().Live {
			t.Error("not live after the loop was opened")
		}
	})
}

func TestRingOfThreeIsBroken(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		nodes := []*node{w.node("a", "b"), w.node("b", "c"), w.node("c", "a")}
		var views []*viewer
		for _, n := range nodes {
			views = append(views, n.watch(camera, 0))
		}
		time.Sleep(10 * time.Second)
		loops := 0.0
		for _, n := range nodes {
			loops += n.metric("lyceum_link_subscriptions_total")
		}
		if loops < 4 || loops > 200 {
			t.Errorf("%v subscriptions: the ring stands, or turns too fast", loops)
		}
		nodes[2].router.set(Hop{Self: true, Epoch: epoch}, epoch)
		nodes[2].publish(camera, 1)
		time.Sleep(15 * time.Second)
		for i, v := range views {
			if !v.track.State().Live {
				t.Errorf("node %s is not live after the ring was opened", nodes[i].id)
			}
		}
	})
}

func TestStrangerIsRefused(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		campus, err := pki.NewAuthority("campus", 0)
		if err != nil {
			t.Fatal(err)
		}
		home := w.node("h", "")
		stranger := w.boot("s", "h", 1, campus, nil)
		home.publish(camera, 1)
		v := stranger.watch(camera, 0)
		time.Sleep(5 * time.Second)
		if v.track.State().Live || len(home.links.Status())+len(stranger.links.Status()) != 0 {
			t.Error("a node of another cluster got a link")
		}
	})
}

func TestLossyWayLosesNoFrame(t *testing.T) {
	inWorld(t, 50*time.Millisecond, 0.01, func(t *testing.T, w *world) {
		home := w.node("h", "")
		edge := w.boot("e", "h", 1, w.authority, func(c *LinksConfig) { c.Stripes = 8 })
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(5 * time.Second)
		from := p.number[0]
		p.play(30*time.Second, 10)
		time.Sleep(2 * time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
		}
		reportDelays(t, v)
		t.Logf("cancelled %v, late %v, full %v, duplicates %v", home.metric("lyceum_link_chunks_cancelled_total"),
			home.metric("lyceum_link_packets_dropped_total", "late"), home.metric("lyceum_link_packets_dropped_total", "full"),
			edge.metric("lyceum_link_packets_duplicate_total"))
	})
}

func TestSourceChangeLosesNothingThatComesEarly(t *testing.T) {
	inWorld(t, 50*time.Millisecond, 0.05, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(5 * time.Second)
		for source := uint32(2); source < 12; source++ {
			p.track.Stop()
			p.track.Start(videoInfo(source, 1))
			p.number[0] += 1 << 20
			first := p.number[0]
			for i := range 10 {
				pk := media.Packet{
					Source: source, Number: p.number[0], Frame: p.number[0], Flags: media.First | media.Last,
					Payload: payload(p.number[0], 1000), Captured: time.Now().UnixMicro(),
				}
				if i == 0 {
					pk.Flags |= media.Key
				}
				p.track.Write(&pk)
				p.number[0]++
			}
			time.Sleep(3 * time.Second)
			if n := v.missing(t, 0, first, p.number[0]); n != 0 {
				t.Errorf("%d packets of source %d are missing", n, source)
			}
		}
	})
}

func TestTrackComesBackWhenAFarWayHeals(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, mid, edge := w.node("h", ""), w.node("m", "h"), w.node("e", "m")
		_ = mid
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		w.net.sever(host("h"), true)
		time.Sleep(15 * time.Second)
		if v.track.State().Live {
			t.Fatal("still live though the home has been away for long")
		}
		w.net.sever(host("h"), false)
		time.Sleep(10 * time.Second)
		if !v.track.State().Live {
			t.Fatal("not live though the home is back and the teacher was there all the time")
		}
		from := p.number[0]
		p.play(time.Second, 2)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d packets are missing", n)
		}
	})
}

func TestHealedPartitionContinuesByNumber(t *testing.T) {
	inWorld(t, 50*time.Millisecond, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		from := p.number[0]
		done := make(chan struct{})
		go func() {
			p.play(20*time.Second, 4)
			close(done)
		}()
		time.Sleep(5 * time.Second)
		w.net.sever(host("e"), true)
		time.Sleep(4 * time.Second)
		w.net.sever(host("e"), false)
		<-done
		time.Sleep(3 * time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
		}
		if n := p.asked.Load(); n != 0 {
			t.Errorf("the teacher was asked for %d keyframes", n)
		}
	})
}

func TestNewHomeIsAskedWhileTheDeadOneIsDialled(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.node("d", "")
		w.net.sever(host("d"), true)
		home, edge := w.node("h", ""), w.node("e", "d")
		home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(500 * time.Millisecond)
		edge.router.set(Hop{Node: "h", Epoch: epoch}, epoch)
		time.Sleep(500 * time.Millisecond)
		if !v.track.State().Live {
			t.Error("not live half a second after the home has moved")
		}
	})
}

func TestEdgeFollowsANewHomeWhoseClockIsBehind(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		old, home, edge := w.node("h", ""), w.node("n", ""), w.node("e", "h")
		p := old.publish(camera, 1)
		v := edge.watch(camera, 0)
		p.write(4, 1150, true)
		time.Sleep(time.Second)
		home.router.set(Hop{Self: true, Epoch: epoch + 1}, epoch+1)
		q := home.publish(camera, 1)
		q.track.Start(videoInfo(2, 1))
		first := p.number[0] - 1<<30
		for i := range uint64(20) {
			pk := media.Packet{Source: 2, Number: first + i, Frame: first + i, Payload: payload(first+i, 500), Flags: media.First | media.Last}
			if i == 0 {
				pk.Flags |= media.Key
			}
			q.track.Write(&pk)
		}
		edge.router.set(Hop{Node: "n", Epoch: epoch + 1}, epoch+1)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, first, first+20); n != 0 {
			t.Errorf("%d of 20 packets of the new home are missing", n)
		}
		if k, ok := v.track.Keyframe(0); !ok || k != first {
			t.Errorf("keyframe %d %v, want %d", k, ok, first)
		}
	})
}
