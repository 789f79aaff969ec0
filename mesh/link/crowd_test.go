package link

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// TestNodesWhoseViewsDifferKeepTheBound has twelve nodes of one region that know little of one another: most believe that
// they hang on the home, some on one of the hubs, and one on a node that is none.
func TestNodesWhoseViewsDifferKeepTheBound(t *testing.T) {
	const bound, hubs = 8, "bc"
	inWorld(t, 5*time.Millisecond, 0, func(t *testing.T, w *world) {
		nodes := map[string]*node{}
		boot := func(id, next string) {
			nodes[id] = w.boot(id, next, uint64(time.Now().UnixMilli()), w.authority, func(c *LinksConfig) {
				c.Admit = func(_ media.TrackID, child string, children []string) (elsewhere []string) {
					if len(children) < bound || strings.Contains(hubs, child) {
						return nil
					}
					for hub := range strings.SplitSeq(hubs, "") {
						if hub != id && hub != child {
							elsewhere = append(elsewhere, hub)
						}
					}
					return elsewhere
				}
			})
		}
		boot("a", "")
		for _, id := range strings.Split("bcdefghijk", "") {
			boot(id, "a")
		}
		boot("l", "b")
		boot("m", "k")
		for _, n := range nodes {
			n.router.spare = "c" // for those whose parent has failed
		}
		teacher := nodes["a"].publish(camera, 1)
		sound := nodes["a"].publish(microphone, 1)
		go teacher.play(10*time.Second, 2)
		go sound.play(10*time.Second, 1)
		viewers := map[string]*viewer{}
		for id, n := range nodes {
			if id != "a" {
				viewers[id] = n.watch(camera, 0)
				n.watch(microphone, 0)
			}
		}
		<-time.After(5 * time.Second)
		first := teacher.numbers()[0] - 60 // of the last second
		<-time.After(6 * time.Second)
		last := teacher.numbers()[0]
		for id, v := range viewers {
			if n := v.missing(t, 0, first, last); n > 0 {
				t.Errorf("%s lacks %d of %d packets", id, n, last-first)
			}
		}
		most := 0
		for id, n := range nodes {
			n.links.crowd.mu.Lock()
			children := len(n.links.crowd.rooms[media.TrackID{Room: room}])
			n.links.crowd.mu.Unlock()
			if most = max(most, children); children > bound+len(hubs) {
				t.Errorf("%s feeds %d", id, children)
			}
		}
		sent := nodes["a"].metric("lyceum_link_refused_total", wire.Redirect.String())
		t.Logf("nobody feeds more than %d, the home sent on %v subscriptions", most, sent)
		if sent < 2 {
			t.Errorf("the home sent on %v subscriptions", sent)
		}

		// The parent of some dies, and all find another one.
		nodes["b"].stop()
		delete(nodes, "b")
		go teacher.play(10*time.Second, 2)
		<-time.After(9 * time.Second)
		first = teacher.numbers()[0] - 60
		<-time.After(3 * time.Second)
		for id, v := range viewers {
			if id != "b" && v.missing(t, 0, first, teacher.numbers()[0]) > 0 {
				t.Errorf("%s is not fed after the end of a hub", id)
			}
		}
	})
}

func TestChildThatComesBackIsTaken(t *testing.T) {
	inWorld(t, 5*time.Millisecond, 0, func(t *testing.T, w *world) {
		a := w.boot("a", "", 1, w.authority, func(c *LinksConfig) {
			c.Admit = func(media.TrackID, string, []string) []string { return []string{"z"} } // nobody has ever seen it
		})
		b := w.node("b", "a")
		teacher := a.publish(camera, 1)
		v := b.watch(camera, 0)
		go teacher.play(10*time.Second, 2)
		<-time.After(11 * time.Second)
		to := teacher.numbers()[0]
		if n := v.missing(t, 0, to-100, to); n > 0 {
			t.Errorf("%d of the last 100 packets did not come", n)
		}
		if sent := a.metric("lyceum_link_refused_total", wire.Redirect.String()); sent != 1 {
			t.Errorf("the child was sent on %v times, want once", sent)
		}
	})
}

func TestCrowdCountsChildrenOnce(t *testing.T) {
	c := newCrowd()
	var asked []string
	admit := func(_ media.TrackID, child string, children []string) []string {
		asked = append(asked, child+" besides "+strings.Join(children, "+"))
		if len(children) >= 2 {
			return slices.Repeat([]string{"hub"}, maxAlternatives+1)
		}
		return nil
	}
	enter := func(child string, want int) {
		t.Helper()
		if got := len(c.enter(camera, child, admit)); got != want {
			t.Errorf("%s was told of %d others, want %d", child, got, want)
		}
	}
	enter("b", 0)
	enter("b", 0) // another track
	enter("c", 0)
	enter("d", maxAlternatives)
	c.leave(microphone, "b")
	enter("d", maxAlternatives)
	c.leave(microphone, "b")
	enter("d", 0)
	want := []string{"b besides ", "c besides b", "d besides b+c", "d besides b+c", "d besides c"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	c.leave(microphone, "c")
	c.leave(microphone, "d")
	if len(c.rooms) != 0 {
		t.Errorf("%v is left", c.rooms)
	}
}

func TestNodeThatWasSentOnReturnsWhenThereIsRoom(t *testing.T) {
	inWorld(t, 5*time.Millisecond, 0, func(t *testing.T, w *world) {
		var full atomic.Bool
		full.Store(true)
		a := w.boot("a", "", 1, w.authority, func(c *LinksConfig) {
			c.Admit = func(_ media.TrackID, child string, _ []string) []string {
				if full.Load() && child == "c" {
					return []string{"b"}
				}
				return nil
			}
		})
		w.node("b", "a")
		c := w.node("c", "a")
		teacher := a.publish(camera, 1)
		v := c.watch(camera, 0)
		go teacher.play(200*time.Second, 2)
		<-time.After(2 * time.Minute)
		if w, _ := c.links.ways.look(v.track); !slices.Equal(w.path, []string{"c", "b", "a"}) {
			t.Errorf("the way is %v, want it through b", w.path)
		}
		if sent := a.metric("lyceum_link_refused_total", wire.Redirect.String()); sent != 2 {
			t.Errorf("the child was sent on %v times, want once, and again when it asked after a minute", sent)
		}
		full.Store(false)
		<-time.After(85 * time.Second)
		if w, _ := c.links.ways.look(v.track); !slices.Equal(w.path, []string{"c", "a"}) {
			t.Errorf("the way is %v, want the direct one", w.path)
		}
		to := teacher.numbers()[0]
		first := uint64(1) << 40
		if n := v.missing(t, 0, first+100, to-10); n > 0 {
			t.Errorf("%d packets are missing", n)
		}
	})
}
