package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// old starts a node of the release before.
func (w *world) old(id, next string) *node {
	return w.boot(id, next, uint64(time.Now().UnixMilli()), w.authority, func(c *LinksConfig) { c.Version = wire.Oldest })
}

// speaks lists the versions of a node's links, by peer.
func (n *node) speaks() string {
	ups, downs := n.links.all()
	var list []string
	for _, u := range ups {
		list = append(list, fmt.Sprint(u.peer, u.speak))
	}
	for _, d := range downs {
		list = append(list, fmt.Sprint(d.peer, d.speak))
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

func TestClassFlowsOverAChainOfTwoReleases(t *testing.T) {
	for name, hub := range map[string]func(w *world, id, next string) *node{
		"old hubs": (*world).old, "an old home and an old edge": (*world).node,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 25*time.Millisecond, 0.01, func(t *testing.T, w *world) {
				end := (*world).node
				if name != "old hubs" {
					end = (*world).old
				}
				s := &branch{world: w, home: end(w, "h", ""), a: hub(w, "a", "h"), b: hub(w, "b", "h"), edge: end(w, "e", "a")}
				w.play(s, 20, func(s *branch) {
					v := wire.Oldest
					if got, want := s.a.speaks(), fmt.Sprintf("[e%d h%d]", v, v); got != want {
						t.Errorf("the hub's links speak %s, want %s", got, want)
					}
					s.hangsOn("a", "b")
					s.crash(s.a)
					time.Sleep(4 * time.Second)
					s.gap("parent dead", time.Second)
					s.hangsOn("b", "")
					// A hub of this release comes in its place, and is better.
					s.node("c", "h")
					s.edge.router.set(Hop{Node: "c", Standby: "b", Epoch: epoch}, epoch)
					time.Sleep(5 * time.Second)
					s.gap("new parent", 200*time.Millisecond)
					s.hangsOn("c", "b")
				})
			})
		})
	}
}

func TestParentWithoutACommonVersionIsAskedOnce(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		var asked atomic.Int32
		w.rogue("p", func(ctx context.Context, conn *quic.Conn, _ string) {
			asked.Add(1)
			stream, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			if m, err := wire.NewReader(stream).Next(); err == nil && slices.Equal(m.(*wire.Hello).Versions, wire.Versions(wire.Version)) {
				_, _ = stream.Write(wire.AppendMessage(nil, &wire.Welcome{Node: "p", Boot: 1}))
			}
			<-conn.Context().Done()
		})
		edge := w.node("e", "p")
		for i := range 50 {
			edge.watch(media.TrackID{Room: room, Name: fmt.Sprint("t", i)}, 0)
		}
		time.Sleep(strangePause - 5*time.Second)
		if n := asked.Load(); n != 1 {
			t.Errorf("the parent was asked %d times for 50 tracks", n)
		}
		if n := edge.metric("lyceum_link_closed_total", "version"); n != 1 {
			t.Errorf("it was counted %v times", n)
		}
		if n := edge.metric("lyceum_link_links", "up"); n != 0 {
			t.Errorf("%v links are counted", n)
		}
		d, err := edge.links.dial("p")
		if err != nil || !errors.Is(d.err, ErrVersion) {
			t.Errorf("the error is %v, %v", err, d.err)
		}
		// It is asked again after a while: it may have another release by then.
		time.Sleep(20 * time.Second)
		if n := asked.Load(); n != 2 {
			t.Errorf("the parent was asked %d times after %v", n, strangePause)
		}
	})
}

func TestWhatANewerParentSendsIsPassedOver(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		future := append([]byte{wire.KindChunk + 100}, make([]byte, 1<<20)...)
		w.rogue("p", hostileParent(func(c *quic.Conn, s *quic.Stream) {
			for range 30 {
				sendStream(c, future[:1])
				sendStream(c, future[:wire.MaxChunk])
				sendStream(c, future) // far longer than a chunk
			}
			_ = c.SendDatagram(future[:100])
			_, _ = s.Write([]byte{99, 3, 1, 2, 3}) // a message of a new kind
		}))
		edge := w.node("e", "p")
		edge.watch(camera, 0)
		time.Sleep(4 * time.Second)
		if n := edge.metric("lyceum_link_closed_total"); n != 0 {
			t.Errorf("the link was closed %v times", n)
		}
		ups, _ := edge.links.all()
		if len(ups) != 1 {
			t.Fatalf("%d links", len(ups))
		}
		waiting := (readyReceivers + 1) * len(*ups[0].stripes.Load())
		if n := len(ups[0].slots); n > waiting {
			t.Errorf("%d chunks are still being received", n-waiting)
		}
	})
}

func TestNewerChildMayHaveMoreStripes(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		h := hello("r")
		h.Versions = append([]uint64{wire.Version + 1}, h.Versions...)
		h.Stripes = 4 * maxStripes
		conn, _, r := greetAs(t, w.rogue("r", deaf), h)
		m, err := r.Next()
		if welcome, ok := m.(*wire.Welcome); err != nil || !ok || welcome.Version != wire.Version {
			t.Fatalf("answered %+v, %v", m, err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, downs := home.links.all(); len(downs) != 1 || downs[0].most != maxStripes || conn.Context().Err() != nil {
			t.Error("it did not get a link of as many stripes as the parent knows to use")
		}
	})
}

func TestStripesOfALinkSpeakOneVersion(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.node("h", "")
		e := w.rogue("r", deaf)
		h := hello("r")
		h.Stripes = 2
		first, _, _ := greetAs(t, e, h)
		time.Sleep(100 * time.Millisecond)
		h.Stripe, h.Versions = 1, []uint64{wire.Oldest}
		second, _, _ := greetAs(t, e, h)
		time.Sleep(100 * time.Millisecond)
		if first.Context().Err() != nil || second.Context().Err() == nil {
			t.Error("a stripe of another version was taken into the link")
		}
	})
}
