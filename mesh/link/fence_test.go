package link

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

func TestStaleEpochIsRefusedAtEveryHop(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		chain := []*node{w.node("h", ""), w.node("m", "h"), w.node("n", "m"), w.node("e", "n")}
		p := chain[0].publish(camera, 1)
		v := chain[3].watch(camera, 0)
		time.Sleep(2 * time.Second)
		p.write(4, 1150, true)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, p.number[0]-4, p.number[0]); n != 0 {
			t.Fatalf("%d of 4 packets did not come", n)
		}
		// A late comer that still believes in the owner before is refused wherever it asks.
		for i, n := range chain {
			late := w.node(fmt.Sprint(i), n.id)
			late.router.set(Hop{Node: n.id, Epoch: epoch - 1}, epoch-1)
			view := late.watch(camera, 0)
			time.Sleep(2 * time.Second)
			if n.metric("lyceum_link_refused_total", "stale epoch") == 0 {
				t.Errorf("%s did not refuse it", n.id)
			}
			if _, ok := view.track.Head(0); ok || view.track.State().Live {
				t.Errorf("%s served it", n.id)
			}
			late.stop()
		}
		// Whichever node learns of a new owner first, it ends what it serves for the owner before.
		for i := range chain[:3] {
			n := chain[i]
			before := n.metric("lyceum_link_refused_total", "stale epoch")
			next := Hop{Self: i == 0, Epoch: epoch + 1}
			if i > 0 {
				next.Node = chain[i-1].id
			}
			n.router.set(next, epoch+1)
			time.Sleep(500 * time.Millisecond)
			if got := n.metric("lyceum_link_refused_total", "stale epoch"); got == before {
				t.Errorf("%s goes on to serve the epoch that is over", n.id)
			}
			for _, l := range n.links.Status() {
				for _, s := range l.Subscriptions {
					if l.Direction == "down" && s.Epoch <= epoch {
						t.Errorf("%s still serves epoch %d to %s", n.id, s.Epoch, l.Peer)
					}
				}
			}
		}
		from := p.number[0]
		p.write(4, 1150, true)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 4 {
			t.Error("the last node was fed past those that know better")
		}
		chain[3].router.set(Hop{Node: "n", Epoch: epoch + 1}, epoch+1)
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of 4 packets did not come to who knows better too", n)
		}
	})
}

// A home that was cut off goes on as if it were the home, and gossip may still name it long after the class has moved.
func TestHomeOfBeforeNeverFeedsANewSubscriber(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		before, home := w.node("d", ""), w.node("h", "")
		home.router.set(Hop{Self: true, Epoch: epoch + 1}, epoch+1)
		old, now := before.publish(camera, 1), home.publish(camera, 1)
		old.track.Start(videoInfo(66, 1))
		ctx, cancel := context.WithCancel(t.Context())
		var playing sync.WaitGroup
		for _, s := range []struct {
			p      *publisher
			source uint32
		}{{old, 66}, {now, 1}} {
			playing.Go(func() {
				for number := uint64(1) << 40; ctx.Err() == nil; number++ {
					s.p.track.Write(&media.Packet{
						Source: s.source, Number: number, Frame: number, Flags: media.Key | media.First | media.Last,
						Payload: payload(number, 200),
					})
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		// It knows of the new owner, but not where that is: it still asks the home of before.
		edge := w.node("e", "d")
		edge.router.set(Hop{Node: "d", Epoch: epoch + 1}, epoch+1)
		v := edge.watch(camera, 0)
		// And another asks it by way of a node that knows all.
		w.node("m", "h").router.set(Hop{Node: "h", Epoch: epoch + 1}, epoch+1)
		last := w.node("l", "m")
		last.router.set(Hop{Node: "m", Epoch: epoch}, epoch)
		lost := last.watch(camera, 0)
		time.Sleep(5 * time.Second)
		if before.metric("lyceum_link_refused_total", wire.Behind.String()) == 0 {
			t.Error("the home of before did not say that it is behind")
		}
		for _, v := range []*viewer{v, lost} {
			if n, ok := v.track.Head(0); ok {
				t.Errorf("a new subscriber came to packet %d of the home of before", n)
			}
		}
		edge.router.set(Hop{Node: "h", Epoch: epoch + 1}, epoch+1)
		last.router.set(Hop{Node: "m", Epoch: epoch + 1}, epoch+1)
		time.Sleep(3 * time.Second)
		cancel()
		playing.Wait()
		for _, v := range []*viewer{v, lost} {
			v.mu.Lock()
			for number, p := range v.packets[0] {
				if p.Source != 1 {
					t.Errorf("packet %d is of source %d", number, p.Source)
					break
				}
			}
			if len(v.packets[0]) < 100 {
				t.Errorf("%d packets came from the new home", len(v.packets[0]))
			}
			v.mu.Unlock()
		}
	})
}

func TestSlowChildNeverSlowsItsSiblings(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		home := w.node("h", "")
		w.net.mu.Lock()
		w.net.line = &narrow{to: host("s"), rate: 400_000} // a tenth of what the class needs
		w.net.mu.Unlock()
		slow, mute, good := w.node("s", "h"), w.node("q", "h"), w.node("e", "h")
		p := home.publish(camera, 2)
		lagging, _, v := slow.watch(camera, 0, 1), mute.watch(camera, 0, 1), good.watch(camera, 0, 1)
		time.Sleep(2 * time.Second)
		from := p.numbers()
		go func() {
			time.Sleep(5 * time.Second)
			w.net.sever(host("q"), true) // and another one falls silent
		}()
		p.play(15*time.Second, 6)
		time.Sleep(time.Second)
		for l := range media.Layer(2) {
			if n := v.missing(t, l, from[l], p.number[l]); n != 0 {
				t.Errorf("the sibling misses %d packets of layer %d", n, l)
			}
		}
		reportDelays(t, v)
		v.mu.Lock()
		for _, d := range v.delays {
			if d > 40*time.Millisecond { // 25 ms are the way's
				t.Errorf("a packet of the sibling took %v", d)
				break
			}
		}
		v.mu.Unlock()
		if n := lagging.missing(t, 1, from[1], p.number[1]); n == 0 {
			t.Error("the slow child missed nothing: it was not slow")
		}
	})
}
