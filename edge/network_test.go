package edge

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/test/sim"
)

// lecture writes a camera of three layers with the rates of a browser and a microphone, in the time of a bubble, and makes
// a keyframe when one is asked for.
type lecture struct {
	camera, sound *relay.Track
	frame         int
	number        [3]uint64
	keys          [3]int // keyframes made
}

var lectureRates = [3]int{1_400_000, 450_000, 150_000}

func (le *lecture) info() media.TrackInfo {
	return media.TrackInfo{Kind: media.Video, Codec: vp8, Source: 1, Layers: []media.LayerInfo{
		{RID: "f", Width: 1280, Height: 720, Bitrate: uint32(lectureRates[0])},
		{RID: "h", Width: 640, Height: 360, Bitrate: uint32(lectureRates[1])},
		{RID: "q", Width: 320, Height: 180, Bitrate: uint32(lectureRates[2])},
	}}
}

func (le *lecture) run(ctx context.Context, hub *relay.Hub) {
	var free [2]func()
	le.camera, free[0] = hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	le.sound, free[1] = hub.Acquire(media.TrackID{Room: "algebra", Name: media.Microphone})
	defer free[0]()
	defer free[1]()
	le.camera.Start(le.info())
	defer le.camera.Stop()
	le.sound.Start(media.TrackInfo{
		Kind: media.Audio, Source: 1, Layers: make([]media.LayerInfo, 1),
		Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2},
	})
	defer le.sound.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := uint64(1); ; i++ {
		le.sound.Write(&media.Packet{
			Source: 1, Number: 1<<32 + i, Timestamp: uint32(960 * i), Captured: time.Now().UnixMicro(),
			Flags: media.First | media.Last, Payload: make([]byte, 80),
		})
		if i%2 == 0 { // 25 frames per second
			wanted := le.camera.TakeDemand().Keyframes
			for l := range le.number {
				le.write(media.Layer(l), le.frame%250 == 0 || wanted.Has(media.Layer(l)))
			}
			le.frame++
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (le *lecture) write(l media.Layer, key bool) {
	size := lectureRates[l] / 8 / 25
	if key {
		le.keys[l]++
		size *= 4
	}
	pid := uint16(le.frame)
	for at := 0; at < size; at += 1100 {
		n := max(min(1100, size-at), 30)
		p := media.Packet{
			Layer: l, Source: 1, Number: 1<<32 + uint64(l)<<24 + le.number[l], Frame: uint64(le.frame),
			Timestamp: uint32(le.frame * 3600), Captured: time.Now().UnixMicro(),
			Payload: append(make([]byte, 0, n), 0x90, 0xe0, 0x80|byte(pid>>8), byte(pid), byte(le.frame), 0, byte(l))[:n],
		}
		binary.BigEndian.PutUint32(p.Payload[20:], uint32(le.frame))
		if key {
			p.Flags |= media.Key
			p.Payload[24] = 1
		}
		if at == 0 {
			p.Flags |= media.First
		}
		if at+1100 >= size {
			p.Flags |= media.Last
		}
		le.number[l]++
		le.camera.Write(&p)
	}
}

// laboratory is a teacher, an edge and one student behind a path that can be changed.
type laboratory struct {
	t        *testing.T
	net      *sim.Network
	edge     *Edge
	from, to *sim.Host
	lecture  *lecture
	player   *player
	student  *Subscriber
}

func newLaboratory(t *testing.T, path sim.Path, quirks quirks) *laboratory {
	t.Helper()
	la := &laboratory{t: t, net: sim.New(t, path), lecture: &lecture{}}
	la.from, la.to = la.net.Host("edge", "192.0.2.1"), la.net.Host("student", "203.0.113.7")
	hub := relay.NewHub(relay.Config{})
	e, err := New(Config{Hub: hub, Engine: la.from.SettingEngine})
	if err != nil {
		t.Fatal(err)
	}
	la.edge = e
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	wg.Go(func() { _ = hub.Run(ctx) })
	wg.Go(func() { la.lecture.run(ctx, hub) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	la.player = newViewer(t, la.to.SettingEngine(), quirks)
	s := &student{t: t, pc: la.player.pc}
	sub, answer, err := e.Subscribe(ctx, SubscribeRequest{Room: "algebra", Subject: "anna", Offer: s.offer(nil)})
	if err != nil {
		t.Fatal(err)
	}
	s.answer(answer)
	la.student = sub
	return la
}

func (la *laboratory) now() time.Duration { return time.Since(la.player.began) }

// layer is what the student sees now: the layer of the newest frame, -1 for none in the last second.
func (la *laboratory) layer() int {
	la.player.mu.Lock()
	defer la.player.mu.Unlock()
	if n := len(la.player.video.shown); n > 0 && la.now()-la.player.video.shown[n-1].at < time.Second {
		return int(la.player.video.shown[n-1].layer)
	}
	return -1
}

// until returns the time until the student sees a layer.
func (la *laboratory) until(layer int, most time.Duration) time.Duration {
	la.t.Helper()
	from := la.now()
	for la.layer() != layer {
		time.Sleep(20 * time.Millisecond)
		if la.now()-from > most {
			la.t.Fatalf("layer %d is not seen within %s but %d; %+v", layer, most, la.layer(), la.student.Stats().Video)
		}
	}
	return la.now() - from
}

// trace logs what happens for some time.
func (la *laboratory) trace(d time.Duration) {
	for end := la.now() + d; la.now() < end; time.Sleep(min(time.Second, end-la.now())) {
		st := la.student.Stats().Video
		lost, all := la.player.soundLost()
		la.player.mu.Lock()
		queue := la.player.limit.smooth
		la.player.mu.Unlock()
		la.t.Logf("%.1f s: layer %d, limit %.0f, estimate %.0f kbit/s, %d probes, %d resent, loss %.2f, sound %d/%d, queue %.0f ms",
			la.now().Seconds(), la.layer(), st.Limit/1000, st.Estimate/1000, st.Probes, st.Resent, st.Lost, lost, all, queue*1000)
	}
}

// access is an access line with a queue of its own.
func access(rate int64) sim.Path {
	return sim.Path{Delay: 25 * time.Millisecond, Rate: rate, Queue: 250 * time.Millisecond}
}

// verdict checks what must hold at the end of every story: hardly any sound is lost, and no picture stands still for long.
func (la *laboratory) verdict(most float64, still bool) {
	la.t.Helper()
	lost, all := la.player.soundLost()
	if all < 1000 || float64(lost) > most*float64(all) {
		la.t.Errorf("%d of %d packets of sound are lost, want at most %g", lost, all, most)
	}
	bad, longest := la.player.freezes()
	if len(bad) > 0 && !still {
		la.t.Errorf("the picture stands still at, and for: %v", bad)
	}
	la.t.Logf("sound lost %d of %d, longest pause %s, %d probes", lost, all, longest, la.student.Stats().Video.Probes)
}

func TestNetworkNarrowsAndWidens(t *testing.T) {
	for name, c := range map[string]struct {
		quirks   quirks
		narrow   int64
		loss     float64
		layer    int // the right one while it is narrow
		down, up time.Duration
		sound    float64 // the most that may be lost of it
		still    bool    // the picture may stand still
	}{
		"2 Mbit/s, 300 kbit/s, 2 Mbit/s": {narrow: 300_000, layer: 2, down: 3 * time.Second, up: 10 * time.Second, sound: 0.001},
		"to 800 kbit/s":                  {narrow: 800_000, layer: 1, down: 3 * time.Second, up: 10 * time.Second, sound: 0.001},
		"and loses 5 % all the time":     {narrow: 300_000, loss: 0.05, layer: 2, down: 3 * time.Second, up: 20 * time.Second, sound: 0.015, still: true},
		"to what carries sound alone":    {narrow: 120_000, layer: -1, down: 3 * time.Second, up: 16 * time.Second, sound: 0.045, still: true},
		"a player that reports arrivals": {quirks: quirks{arrivals: true}, narrow: 300_000, layer: 2, down: 3 * time.Second, up: 10 * time.Second, sound: 0.001},
		"a player that tells no limit":   {quirks: quirks{noLimit: true}, narrow: 300_000, layer: 2, down: 3 * time.Second, up: 35 * time.Second, sound: 0.05, still: true},
		"a player without repair":        {quirks: quirks{noLimit: true, noRepair: true}, narrow: 300_000, layer: 2, down: 7 * time.Second, up: 60 * time.Second, sound: 0.05, still: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wide, narrow := access(2_000_000), access(c.narrow)
				la := newLaboratory(t, wide, c.quirks)
				la.trace(3 * time.Second)
				wide.Loss, narrow.Loss = c.loss, c.loss
				la.net.SetPathOneWay(la.from, la.to, wide)
				la.trace(7 * time.Second)
				if l := la.layer(); l != 0 {
					t.Errorf("layer %d is seen at first", l)
				}
				la.net.SetPathOneWay(la.from, la.to, narrow)
				down := la.until(c.layer, 60*time.Second)
				la.trace(40 * time.Second)
				st := la.student.Stats().Video
				switch right := int(st.Target) == c.layer && !st.Off || c.layer < 0 && st.Off; {
				case right, c.quirks.noRepair && st.Target != 0: // on such a player more is tried out now and then
				default:
					t.Errorf("in the end %+v, want layer %d", st, c.layer)
				}
				la.net.SetPathOneWay(la.from, la.to, wide)
				up := la.until(0, 120*time.Second)
				la.trace(20 * time.Second)
				if l := la.layer(); l != 0 {
					t.Errorf("layer %d is seen at last", l)
				}
				if down > c.down || up > c.up {
					t.Errorf("down in %s and up in %s, want %s and %s", down, up, c.down, c.up)
				}
				t.Logf("down in %s, up in %s", down, up)
				la.verdict(c.sound, c.still)
			})
		})
	}
}

func TestLossOfTheAirCostsNoLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la := newLaboratory(t, access(2_000_000), quirks{})
		la.trace(3 * time.Second)
		lossy := access(2_000_000)
		lossy.Loss = 0.05
		la.net.SetPath(la.from, la.to, lossy)
		la.trace(60 * time.Second)
		if st := la.student.Stats().Video; st.Target != 0 {
			t.Errorf("the student gets %+v", st)
		}
		la.player.mu.Lock()
		for _, s := range la.player.video.shown {
			if s.layer != 0 {
				t.Errorf("layer %d at %s", s.layer, s.at)
				break
			}
		}
		la.player.mu.Unlock()
		la.verdict(0.001, false)
	})
}
