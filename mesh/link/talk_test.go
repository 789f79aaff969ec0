package link

import (
	"slices"
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// toward says by which node a node reaches an origin that is not the home.
func (n *node) toward(origin string, hop Hop) {
	n.router.mu.Lock()
	defer n.router.mu.Unlock()
	if n.router.origins == nil {
		n.router.origins = map[string]Hop{}
	}
	hop.Epoch = epoch
	n.router.origins[origin] = hop
}

// A student speaks at the edge b. The home h and the edge c hear it by way of the hub x, while y stands by, and see the
// teacher by way of the same hub.
func TestTrackIsBornAtAnEdgeAndReachesTheHomeAndAnotherRegion(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0.005, func(t *testing.T, w *world) {
		h, x, y := w.node("h", ""), w.node("x", "h"), w.node("y", "h")
		b, c := w.node("b", "x"), w.node("c", "x")
		for _, n := range []*node{b, c} {
			n.router.set(Hop{Node: "x", Standby: "y", Epoch: epoch}, epoch)
		}
		b.toward("b", Hop{Self: true})
		for _, n := range []*node{h, c} {
			n.toward("b", Hop{Node: "x", Standby: "y"})
		}
		for _, n := range []*node{x, y} {
			n.toward("b", Hop{Node: "b"})
		}
		talk := media.TrackID{Room: room, Name: media.Camera, Origin: "b"} // it may even have the name of the teacher's
		teacher, student := h.publish(camera, 2), b.publish(talk, 1)
		views := map[*viewer]*publisher{
			b.watch(camera, 0, 1): teacher, c.watch(camera, 0, 1): teacher, h.watch(talk, 0): student, c.watch(talk, 0): student,
		}
		time.Sleep(2 * time.Second)
		from := map[*publisher][]uint64{teacher: teacher.numbers(), student: student.numbers()}
		done := make(chan struct{}, 2)
		for _, p := range []*publisher{teacher, student} {
			go func() {
				p.play(16*time.Second, 3)
				done <- struct{}{}
			}()
		}
		time.Sleep(4 * time.Second)
		for _, n := range []*node{h, c} {
			if st := n.trackOf(talk).State(); st.Hops != 2 || !st.Live {
				t.Errorf("%s has the student's track over %d hops, live %v", n.id, st.Hops, st.Live)
			}
		}
		for v := range views {
			v.longest()
		}
		w.net.sever(host("x"), true) // the hub dies
		<-done
		<-done
		time.Sleep(2 * time.Second)
		for v, p := range views {
			for l := range p.layers {
				if n := v.missing(t, media.Layer(l), from[p][l], p.number[l]); n != 0 {
					t.Errorf("%s layer %d: %d of %d packets are missing", v.track.ID(), l, n, p.number[l]-from[p][l])
				}
			}
			gap := v.longest()
			t.Logf("%s: gap %v", v.track.ID(), gap)
			if gap > time.Second {
				t.Errorf("%s: the gap was %v", v.track.ID(), gap)
			}
		}
		for _, s := range y.links.Status() {
			for _, sub := range s.Subscriptions {
				if sub.Origin == "b" && s.Direction == "down" && !slices.Equal(sub.Path, []string{"y", "b"}) {
					t.Errorf("the student's track comes to %s by %v", s.Peer, sub.Path)
				}
			}
		}
	})
}

func TestNodeOfTheReleaseBeforeIsNotAskedForATrackBornElsewhere(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		h := w.node("h", "")
		x, y := w.old("x", "h"), w.node("y", "h")
		c := w.node("c", "x")
		talk := media.TrackID{Room: room, Name: media.Camera, Origin: "b"}
		b := w.node("b", "h")
		b.toward("b", Hop{Self: true})
		c.toward("b", Hop{Node: "x"})
		x.toward("b", Hop{Node: "b"})
		y.toward("b", Hop{Node: "b"})
		teacher, student := h.publish(camera, 1), b.publish(talk, 1)
		x.watch(camera, 0)
		v := c.watch(talk, 0)
		for range 10 {
			teacher.write(2, 500, true)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if n, ok := v.track.Head(0); ok {
			t.Errorf("packet %d of the teacher came as the student's", n)
		}
		if n := x.metric("lyceum_link_subscriptions_total"); n != 1 {
			t.Errorf("the node of version %d asked for %v tracks", wire.Oldest, n)
		}
		c.toward("b", Hop{Node: "y"})
		c.router.set(Hop{Node: "x", Epoch: epoch}, epoch)
		time.Sleep(time.Second)
		from := student.number[0]
		student.write(5, 500, true)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, student.number[0]); n != 0 {
			t.Errorf("%d of 5 packets did not come by a node of this release", n)
		}
	})
}
