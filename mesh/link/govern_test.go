package link

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"lyceum/mesh/media"
)

// narrow is a line of so many bits a second with a queue of 100 ms before it.
type narrow struct {
	to string

	mu   sync.Mutex
	rate int64
	free time.Time
}

func (n *narrow) set(rate int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rate = rate
}

func (n *narrow) pass(size int, deliver func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.free.Before(now) {
		n.free = now
	}
	if n.free.Sub(now) > 100*time.Millisecond {
		return
	}
	n.free = n.free.Add(time.Duration(int64(size+28) * 8 * int64(time.Second) / n.rate))
	time.AfterFunc(n.free.Sub(now), deliver)
}

// broadcast publishes layers of the given rates until ctx is done, with a keyframe of half a second's bytes every four
// seconds and when one is asked for.
func (p *publisher) broadcast(ctx context.Context, rates []int) {
	info := videoInfo(1, len(rates))
	for l, r := range rates {
		info.Layers[l].Bitrate = uint32(r)
	}
	p.track.Start(info)
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		p.frame++
		asked := p.track.TakeDemand().Keyframes
		for l, r := range rates {
			key := n%120 == 0 || asked.Has(media.Layer(l))
			size := r / 8 / 35
			if key {
				size = r / 8 / 6
			}
			packets := size/1150 + 1
			p.put(l, packets, size/packets, key)
		}
	}
}

// next is a layer's next number, while the publisher goes on.
func (p *publisher) next(l media.Layer) uint64 {
	head, _ := p.track.Head(l)
	return head + 1
}

// talk publishes sound until ctx is done.
func (p *publisher) talk(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.write(1, 160, false)
		}
	}
}

// since begins to look at delays; what it returns tells, sorted, those of the packets that have come since.
func (v *viewer) since(t *testing.T) func() []time.Duration {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	from := len(v.delays)
	return func() []time.Duration {
		v.mu.Lock()
		defer v.mu.Unlock()
		d := slices.Clone(v.delays[from:])
		slices.Sort(d)
		return d
	}
}

func at(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[int(q*float64(len(d)-1))].Round(time.Millisecond)
}

func TestOverloadedWayShedsTheTopLayersAndTakesThemBack(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inWorld(t, rtt/2, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		line := &narrow{to: host("e"), rate: 3_000_000}
		w.net.mu.Lock()
		w.net.line = line
		w.net.mu.Unlock()
		p, sound := home.publish(camera, 3), home.publish(microphone, 1)
		base, all, ear := edge.watch(camera, 0), edge.watch(camera, 0, 1, 2), edge.watch(microphone, 0)
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var playing sync.WaitGroup
		playing.Go(func() { p.broadcast(ctx, []int{500_000, 1_200_000, 2_800_000}) })
		playing.Go(func() { sound.talk(ctx) })
		time.Sleep(2 * time.Second)
		from, heard := p.next(0), sound.next(0)
		delays := base.since(t)
		time.Sleep(28 * time.Second)
		if st := edge.trackOf(camera).State().Info.Layers; st[2].Bitrate != paused || st[0].Bitrate == paused {
			t.Errorf("the edge hears of layers %+v", st)
		}
		d := delays()
		if home.links.Status()[0].Protected {
			t.Error("there is parity where there is no room for all layers")
		}
		t.Logf("narrow: base layer p50 %v p99 %v max %v, shed %v, probed %v, resumed %v", at(d, .5), at(d, .99), at(d, 1),
			home.metric("lyceum_link_layers_total", "shed"), home.metric("lyceum_link_layers_total", "probed"),
			home.metric("lyceum_link_layers_total", "resumed"))
		if at(d, .99) > 2*rtt {
			t.Errorf("p99 of the base layer is %v", at(d, .99))
		}
		line.set(6_000_000)
		wide := time.Now()
		for edge.trackOf(camera).State().Info.Layers[2].Bitrate == paused && time.Since(wide) < 20*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		back := time.Since(wide)
		time.Sleep(2 * time.Second)
		first := []uint64{p.next(0), p.next(1), p.next(2)}
		time.Sleep(5 * time.Second)
		cancel()
		playing.Wait()
		time.Sleep(2 * time.Second)
		t.Logf("the top layer came back after %v", back.Round(time.Millisecond))
		if back > 10*time.Second {
			t.Errorf("the top layer came back after %v", back)
		}
		for l, from := range first {
			if n := all.missing(t, media.Layer(l), from, p.number[l]); n != 0 {
				t.Errorf("%d packets of layer %d are missing where there is room", n, l)
			}
		}
		if n := base.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d packets of the base layer are missing", n)
		}
		if n := ear.missing(t, 0, heard, sound.number[0]); n != 0 {
			t.Errorf("%d of %d packets of sound are missing", n, sound.number[0]-heard)
		}
	})
}

func TestStripeThatCarriesNothingIsReplaced(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		from := p.number[0]
		done := make(chan struct{})
		go func() {
			p.play(10*time.Second, 10)
			close(done)
		}()
		time.Sleep(3 * time.Second)
		ups, _ := edge.links.all()
		dead := ups[0].stripe(2)
		delays := v.since(t)
		w.net.mu.Lock()
		w.net.hole, w.net.mute = dead.conn.LocalAddr().String(), dead.conn.LocalAddr().String()
		w.net.mu.Unlock()
		cut := time.Now()
		<-dead.conn.Context().Done()
		if d := time.Since(cut); d > 2*time.Second {
			t.Errorf("it was replaced after %v", d)
		} else {
			t.Logf("it was closed after %v", d.Round(time.Millisecond))
		}
		<-done
		time.Sleep(2 * time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
		}
		d := delays()
		t.Logf("p50 %v p99 %v max %v, sent again %v", at(d, .5), at(d, .99), at(d, 1), home.metric("lyceum_link_packets_resent_total"))
		if at(d, 1) > time.Second {
			t.Errorf("a packet took %v", at(d, 1))
		}
		if s := edge.links.Status(); len(s) != 1 || s[0].Stripes < 4 || s[0].Age < 10 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStripeThatCarriesNothingOneWayIsReplaced(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		home.publish(camera, 1)
		edge.watch(camera, 0)
		time.Sleep(2 * time.Second)
		ups, _ := edge.links.all()
		link := ups[0]
		for _, index := range []int{2, 0} {
			dead := link.stripe(index)
			w.net.mu.Lock()
			w.net.hole = dead.conn.LocalAddr().String()
			w.net.mu.Unlock()
			cut := time.Now()
			<-dead.conn.Context().Done()
			if d := time.Since(cut); d > 3*time.Second {
				t.Errorf("stripe %d was given up after %v", index, d)
			}
			time.Sleep(3 * time.Second)
			if s := edge.links.Status(); len(s) != 1 || s[0].Stripes != startStripes {
				t.Errorf("status after stripe %d: %+v", index, s)
			}
		}
		if link.ctx.Err() == nil {
			t.Error("the link lives on without its first stripe")
		}
	})
}

func (u *upLink) stripe(index int) *stripe {
	list := *u.stripes.Load()
	return list[slices.IndexFunc(list, func(s *stripe) bool { return s.index == index })]
}

func TestStripesFollowDemand(t *testing.T) {
	inWorld(t, 50*time.Millisecond, 0, func(t *testing.T, w *world) {
		home, edge := w.node("h", ""), w.node("e", "h")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		time.Sleep(time.Second)
		stripes := func() int { return edge.links.Status()[0].Stripes }
		if n := stripes(); n != startStripes {
			t.Errorf("%d stripes at first", n)
		}
		from := p.number[0]
		p.play(10*time.Second, 40) // 11 Mbps
		many := stripes()
		p.play(5*time.Minute, 1)
		few := stripes()
		t.Logf("%d stripes for 11 Mbps, %d for 0.3 Mbps", many, few)
		if many <= startStripes || few > startStripes {
			t.Errorf("%d stripes for much, %d for little", many, few)
		}
		time.Sleep(time.Second)
		if n := v.missing(t, 0, from, p.number[0]); n != 0 {
			t.Errorf("%d of %d packets are missing", n, p.number[0]-from)
		}
	})
}
