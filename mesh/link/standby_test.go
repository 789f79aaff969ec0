package link

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lyceum/mesh/media"
)

// branch is a home with two nodes below it, a and b, and an edge that hangs on a while b stands by. A class of three
// layers plays, and one student watches all of them at the edge.
type branch struct {
	*world
	home, a, b, edge *node
	class            *publisher
	student          *viewer
	from             []uint64
	done             chan struct{}
}

// class plays a story of some seconds on a branch, and checks that the student has missed nothing.
func (w *world) class(seconds int, story func(*branch)) {
	w.t.Helper()
	w.play(&branch{world: w, home: w.node("h", ""), a: w.node("a", "h"), b: w.node("b", "h"), edge: w.node("e", "a")}, seconds, story)
}

// play is class on nodes that are there.
func (w *world) play(s *branch, seconds int, story func(*branch)) {
	w.t.Helper()
	s.edge.router.set(Hop{Node: "a", Standby: "b", Epoch: epoch}, epoch)
	s.class = s.home.publish(camera, 3)
	s.student = s.edge.watch(camera, 0, 1, 2)
	time.Sleep(2 * time.Second)
	s.from = s.class.numbers()
	s.done = make(chan struct{})
	go func() {
		s.class.play(time.Duration(seconds)*time.Second, 3)
		close(s.done)
	}()
	time.Sleep(3500 * time.Millisecond)
	s.student.longest()
	story(s)
	<-s.done
	time.Sleep(2 * time.Second)
	s.whole()
	if n := s.class.asked.Load(); n != 0 {
		w.t.Errorf("the teacher was asked for %d keyframes", n)
	}
}

func (s *branch) whole() {
	s.t.Helper()
	for l := range media.Layer(3) {
		if n := s.student.missing(s.t, l, s.from[l], s.class.number[l]); n != 0 {
			s.t.Errorf("layer %d misses %d of %d packets", l, n, s.class.number[l]-s.from[l])
		}
	}
}

// gap checks the longest time without a packet since the last look.
func (s *branch) gap(what string, limit time.Duration) {
	s.t.Helper()
	gap := s.student.longest()
	s.t.Logf("%s: gap %v", what, gap)
	if gap > limit {
		s.t.Errorf("%s: the gap was %v", what, gap)
	}
}

// parents are the nodes that a node subscribes at, and those that stand by.
func (n *node) parents() (active, standby []string) {
	for _, l := range n.links.Status() {
		for _, s := range l.Subscriptions {
			switch {
			case l.Direction != "up":
			case s.Standby:
				standby = append(standby, l.Peer)
			default:
				active = append(active, l.Peer)
			}
		}
	}
	return active, standby
}

// hangsOn checks where the edge gets its track from.
func (s *branch) hangsOn(parent, standby string) {
	s.t.Helper()
	if active, by := s.edge.parents(); fmt.Sprint(active, by) != fmt.Sprintf("[%s] [%s]", parent, standby) {
		s.t.Errorf("the edge hangs on %v while %v stand by, want %q and %q", active, by, parent, standby)
	}
}

// crash ends a node as the loss of its host does: not a packet comes from it any more.
func (s *branch) crash(n *node) {
	s.net.sever(host(n.id), true)
	n.stop()
}

func TestStandbyTakesOverFromADeadParent(t *testing.T) {
	for _, warm := range []bool{true, false} {
		t.Run(fmt.Sprintf("warm=%v", warm), func(t *testing.T) {
			inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
				w.class(15, func(s *branch) {
					if warm {
						s.b.watch(camera, 0, 1, 2)
					}
					time.Sleep(time.Second)
					s.hangsOn("a", "b")
					if n, _ := s.b.trackOf(camera).Head(0); n == 0 == warm {
						t.Errorf("the standby has come to packet %d", n)
					}
					s.crash(s.a)
					time.Sleep(3 * time.Second)
					s.gap("parent dead", time.Second)
					s.hangsOn("b", "")
					if st := s.student.track.State(); st.Hops != 2 || !st.Live {
						t.Errorf("state %+v", st)
					}
				})
			})
		})
	}
}

func TestStandbyTakesOverOnALossyWay(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0.01, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			s.b.watch(camera, 0, 1, 2)
			time.Sleep(time.Second)
			s.net.sever(host("a"), true)
			time.Sleep(3 * time.Second)
			s.gap("parent cut off", time.Second)
		})
	})
}

// On a narrow way what was missed fills the queue for a while, which then takes no datagrams.
func TestSoundOfACutIsNotMissed(t *testing.T) {
	for name, rate := range map[string]int64{"wide": 100_000_000, "narrow": 300_000} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
				home, edge := w.node("h", ""), w.node("e", "h")
				class, student := home.publish(microphone, 1), edge.watch(microphone, 0)
				w.net.mu.Lock()
				w.net.line = &narrow{to: host("e"), rate: rate}
				w.net.mu.Unlock()
				time.Sleep(2 * time.Second)
				from := class.numbers()
				speak := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
						class.write(1, 80, false)
					}
				}
				speak(2 * time.Second)
				for range 8 {
					w.net.sever(host("e"), true)
					speak(1300 * time.Millisecond)
					w.net.sever(host("e"), false)
					speak(2*stable + time.Second)
				}
				time.Sleep(time.Second)
				if n := student.missing(t, 0, from[0], class.number[0]); n != 0 {
					t.Errorf("%d of %d packets are missing", n, class.number[0]-from[0])
				}
			})
		})
	}
}

func TestManyChildrenOfADeadParentShareAColdStandby(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			var others []*viewer
			for _, id := range []string{"p", "q", "r"} {
				n := s.node(id, "a")
				n.router.set(Hop{Node: "a", Standby: "b", Epoch: epoch}, epoch)
				others = append(others, n.watch(camera, 0, 1, 2))
			}
			time.Sleep(2 * time.Second)
			from := s.class.numbers()
			s.net.sever(host("a"), true)
			time.Sleep(3 * time.Second)
			s.gap("parent of four", time.Second)
			<-s.done
			time.Sleep(time.Second)
			for i, v := range others {
				for l := range media.Layer(3) {
					if n := v.missing(t, l, from[l], s.class.number[l]); n != 0 {
						t.Errorf("child %d misses %d packets of layer %d", i, n, l)
					}
				}
			}
		})
	})
}

func TestStandbyDiesFirstThenTheParent(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(20, func(s *branch) {
			s.edge.router.mu.Lock()
			s.edge.router.spare = "c"
			s.edge.router.mu.Unlock()
			s.node("c", "h")
			s.crash(s.b)
			time.Sleep(4 * time.Second)
			s.gap("standby dead", 100*time.Millisecond)
			s.hangsOn("a", "c")
			s.crash(s.a)
			time.Sleep(3 * time.Second)
			s.gap("parent dead", time.Second)
			s.hangsOn("c", "")
		})
	})
}

func TestParentAndStandbyDieTogether(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			s.edge.router.mu.Lock()
			s.edge.router.spare = "c"
			s.edge.router.mu.Unlock()
			s.node("c", "h")
			s.net.sever(host("a"), true)
			s.net.sever(host("b"), true)
			time.Sleep(4 * time.Second)
			s.gap("both dead", 3*time.Second)
			s.hangsOn("c", "")
		})
	})
}

func TestParentThatEndsInOrderIsLeftWithoutAGap(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			s.a.stop()
			time.Sleep(3 * time.Second)
			s.gap("parent ended", 100*time.Millisecond)
			s.hangsOn("b", "")
		})
	})
}

func TestDrainedParentIsLeftWithoutAGap(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			s.edge.router.set(Hop{Node: "a", Epoch: epoch}, epoch) // no node stands by: the parent names one
			time.Sleep(time.Second)
			s.a.links.Drain()
			s.home.links.Drain() // which makes no difference
			time.Sleep(3 * time.Second)
			s.gap("parent drained", 100*time.Millisecond)
			s.hangsOn("h", "")
			if len(s.a.links.Status()) == 0 {
				t.Error("the drained node has lost its links")
			}
		})
	})
}

func TestBetterParentIsTakenWithoutAGapWhenItStaysBetter(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(20, func(s *branch) {
			s.edge.router.set(Hop{Node: "b", Standby: "a", Epoch: epoch}, epoch)
			time.Sleep(time.Second)
			s.edge.router.set(Hop{Node: "a", Standby: "b", Epoch: epoch}, epoch)
			time.Sleep(3 * time.Second)
			s.hangsOn("a", "b")
			s.edge.router.set(Hop{Node: "b", Standby: "a", Epoch: epoch}, epoch)
			time.Sleep(4 * time.Second)
			s.hangsOn("b", "a")
			s.edge.router.set(Hop{Node: "h", Standby: "a", Epoch: epoch}, epoch) // which did not stand by
			time.Sleep(4 * time.Second)
			s.hangsOn("h", "a")
			s.gap("two better parents", 100*time.Millisecond)
			if n := s.edge.metric("lyceum_link_parent_changes_total", "better"); n != 2 {
				t.Errorf("the parent changed %v times", n)
			}
		})
	})
}

func TestRestartedParentIsTakenAgain(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(25, func(s *branch) {
			s.crash(s.a)
			time.Sleep(2 * time.Second)
			s.gap("parent dead", time.Second)
			s.hangsOn("b", "")
			s.net.sever(host("a"), false)
			s.node("a", "h") // of another boot
			time.Sleep(12 * time.Second)
			s.gap("parent back", 100*time.Millisecond)
			s.hangsOn("a", "b")
		})
	})
}

func TestParentThatWasMuteForAWhile(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(25, func(s *branch) {
			s.net.sever(host("a"), true)
			time.Sleep(5 * time.Second)
			s.gap("parent mute", time.Second)
			s.net.sever(host("a"), false)
			time.Sleep(12 * time.Second)
			s.gap("parent back", 100*time.Millisecond)
			s.hangsOn("a", "b")
		})
	})
}

func TestHundredTracksGoOverTogether(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		w.class(10, func(s *branch) {
			const tracks = 100
			var people []*publisher
			var views []*viewer
			for i := range tracks {
				id := media.TrackID{Room: room, Name: fmt.Sprint("talk", i)}
				people, views = append(people, s.home.publish(id, 1)), append(views, s.edge.watch(id, 0))
			}
			time.Sleep(2 * time.Second)
			var speaking sync.WaitGroup
			for _, p := range people {
				speaking.Go(func() { p.play(4*time.Second, 1) })
			}
			time.Sleep(2 * time.Second)
			for _, v := range views {
				v.longest()
			}
			s.net.sever(host("a"), true)
			speaking.Wait()
			time.Sleep(time.Second)
			worst := time.Duration(0)
			for i, v := range views {
				p := people[i]
				if n := v.missing(t, 0, 1<<40, p.number[0]); n != 0 {
					t.Errorf("track %d misses %d of %d packets", i, n, p.number[0]-1<<40)
				}
				worst = max(worst, v.longest())
			}
			t.Logf("gap %v", worst)
			if worst > 2*time.Second { // what 30 Mbps have missed comes over a cold way
				t.Errorf("the gap was %v", worst)
			}
		})
	})
}

func TestStandbysDoNotSpread(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.class(6, func(s *branch) {
			s.node("c", "h")
			s.b.router.set(Hop{Node: "h", Standby: "c", Epoch: epoch}, epoch)
			time.Sleep(time.Second)
			if active, standby := s.b.parents(); !slices.Equal(active, []string{"h"}) || len(standby) != 0 {
				t.Errorf("the node that stands by hangs on %v while %v stand by", active, standby)
			}
			s.student.leave() // and with the last student the standby ends
			time.Sleep(500 * time.Millisecond)
			if active, standby := s.edge.parents(); len(active) != 1 || len(standby) != 1 {
				t.Errorf("the edge hangs on %v while %v stand by", active, standby)
			}
			time.Sleep(time.Second)
			if active, standby := s.edge.parents(); len(active)+len(standby) != 0 {
				t.Errorf("the empty edge hangs on %v while %v stand by", active, standby)
			}
			<-s.done
			s.student, s.from = s.edge.watch(camera, 0, 1, 2), s.class.number
		})
	})
}

func TestLayerThatFlapsIsSentOnce(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		w.class(15, func(s *branch) {
			second := s.edge.watch(camera, 2)
			s.student.reader.Want(media.LayersOf(0, 1))
			for range 6 {
				second.reader.Want(0)
				time.Sleep(500 * time.Millisecond)
				second.reader.Want(media.LayersOf(2))
				time.Sleep(500 * time.Millisecond)
			}
			sub := s.edge.links.Status()[0].Subscriptions[0]
			sent := uint64(0)
			for l, number := range s.class.numbers() {
				sent += number - s.from[l]
			}
			if sub.Packets > sent {
				t.Errorf("%d packets came for %d: something was replayed", sub.Packets, sent)
			}
			<-s.done
			s.from[2] = s.class.number[2] // the first student has given the layer up
		})
	})
}
