package link

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/mesh/media"
)

// begs asks for a keyframe as an edge does: whenever packets come and the track has no place to start.
func (v *viewer) begs(l media.Layer, until <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-until:
			return
		case <-tick.C:
		}
		v.mu.Lock()
		came := len(v.packets[l])
		v.mu.Unlock()
		if _, ok := v.track.Keyframe(l); came > 0 && !ok {
			v.reader.RequestKeyframe(l)
		}
	}
}

func TestRewarmedEdgeStartsAtTheKeyframeThatItHadBefore(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, mid, edge := w.node("h", ""), w.node("m", "h"), w.node("e", "m")
		_ = mid
		p := home.publish(camera, 1)
		key := p.number[0]
		p.write(20, 1150, true) // the only keyframe, as of an encoder that takes no requests
		time.Sleep(time.Second)
		first := edge.watch(camera, 0)
		more := func() {
			for range 15 {
				p.write(2, 1150, false)
				time.Sleep(time.Second / 30)
			}
		}
		time.Sleep(time.Second)
		more()
		first.reader.Want(0) // all leave, and the room lingers
		more()
		time.Sleep(200 * time.Millisecond)
		second := edge.watch(camera, 0)
		more()
		time.Sleep(200 * time.Millisecond)
		if n := second.missing(t, 0, key, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets since the keyframe are missing", n, p.number[0]-key)
		}
		if k, ok := edge.trackOf(camera).Keyframe(0); !ok || k != key {
			t.Errorf("keyframe %d %v, want %d", k, ok, key)
		}
	})
}

func TestLayerStoppedAndWantedAtOnceBeginsAnew(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		key := p.number[0]
		p.write(20, 1150, true)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		// Both messages reach the parent together.
		w.net.sever(host("e"), true)
		v.reader.Want(0)
		synctest.Wait()
		v.mu.Lock()
		clear(v.packets)
		v.mu.Unlock()
		v.reader.Want(media.LayersOf(0))
		time.Sleep(50 * time.Millisecond)
		w.net.sever(host("e"), false)
		p.write(2, 1150, false)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, key, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets since the keyframe are missing", n, p.number[0]-key)
		}
	})
}

func TestLateStudentsTwoHopsAwayNeverCostAKeyframe(t *testing.T) {
	inWorld(t, 80*time.Millisecond, 0.03, func(t *testing.T, w *world) {
		home, mid := w.node("h", ""), w.node("m", "h")
		_ = mid
		p := home.publish(camera, 1)
		done := make(chan struct{})
		go func() {
			p.play(36*time.Second, 8)
			close(done)
		}()
		time.Sleep(time.Second)
		for i := range 10 {
			edge := w.node(string(rune('p'+i)), "m")
			v := edge.watch(camera, 0)
			end := make(chan struct{})
			go v.begs(0, end)
			time.Sleep(3 * time.Second)
			if _, ok := v.track.Keyframe(0); !ok {
				t.Errorf("edge %s has no keyframe after 3 s", edge.id)
			}
			close(end)
			v.leave() // the room ends at all nodes but the home
		}
		<-done
		if n := p.asked.Load(); n != 0 {
			t.Errorf("the teacher was asked for %d keyframes", n)
		}
	})
}

func TestKeyframeThatDidNotArriveIsAskedForAgain(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		p.write(4, 1150, true)
		time.Sleep(100 * time.Millisecond)
		// The edge has no use of the keyframe that it was sent.
		sub := edge.links.Status()[0].Subscriptions[0]
		if sub.Packets == 0 {
			t.Fatal("nothing came")
		}
		serving := home.links.downs["e"].find(1)
		serving.requestKeyframe(0, 0)
		if d := p.track.TakeDemand(); d.Keyframes != 0 {
			t.Error("the teacher was asked for a keyframe that is on its way")
		}
		time.Sleep(2 * time.Second)
		serving.requestKeyframe(0, 0)
		if d := p.track.TakeDemand(); d.Keyframes != media.LayersOf(0) {
			t.Error("the teacher was not asked for another keyframe though the first has been lost")
		}
		_ = v
	})
}

func TestSoundThatComesBeforeItsStateIsKept(t *testing.T) {
	inWorld(t, 50*time.Millisecond, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(microphone, 1)
		v := edge.watch(microphone, 0)
		time.Sleep(time.Second)
		for source := uint32(2); source < 12; source++ {
			first := p.number[0]
			for range 10 {
				p.track.Write(&media.Packet{Source: source, Number: p.number[0], Payload: payload(p.number[0], 80)})
				p.number[0]++
			}
			time.Sleep(20 * time.Millisecond)
			p.track.Start(audioInfo(source)) // as if a packet of the control stream had been lost
			time.Sleep(time.Second)
			if n := v.missing(t, 0, first, p.number[0]); n != 0 {
				t.Errorf("%d of 10 packets of source %d are missing", n, source)
			}
		}
	})
}
