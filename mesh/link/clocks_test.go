package link

import (
	"fmt"
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// skewed starts a node whose clock is ahead of all others.
func (w *world) skewed(id, next string, ahead time.Duration, version uint64) *node {
	return w.boot(id, next, uint64(time.Now().UnixMilli()), w.authority, func(c *LinksConfig) {
		c.Clock = func() time.Time { return time.Now().Add(ahead) }
		c.Version = version
	})
}

// born says each second when the timestamps of a layer are born, as an origin does whose clock is ahead.
func born(p *publisher, ahead time.Duration, seconds int) (c media.Clock) {
	for range seconds {
		c = media.Clock{NTP: media.NTPFromMicros(time.Now().Add(ahead).UnixMicro()), RTP: c.RTP + 90000}
		p.track.Born(0, c)
		time.Sleep(time.Second)
	}
	return c
}

func TestEachNodeKnowsHowOldAPacketIsWhateverItsClock(t *testing.T) {
	for _, test := range []struct {
		name  string
		loss  float64
		lag   time.Duration // of the way down from the home, more than of the way up to it
		limit time.Duration
		least time.Duration
	}{
		{"same ways", 0, 0, time.Millisecond, 0},
		{"lossy ways", 0.02, 0, time.Millisecond, 0},
		// The clocks of two hosts can be compared no better than by half of what the ways between them differ.
		{"one way longer", 0, 30 * time.Millisecond, 16 * time.Millisecond, 14 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, 25*time.Millisecond, test.loss, func(t *testing.T, w *world) {
				const ahead = -7 * time.Second
				skews := map[string]time.Duration{"m": 3 * time.Second, "n": -11 * time.Second, "e": 5 * time.Second}
				home := w.skewed("h", "", ahead, 0)
				w.net.lags = map[string]time.Duration{host("h"): test.lag}
				nodes := []*node{w.skewed("m", "h", skews["m"], 0), w.skewed("n", "m", skews["n"], 0), w.skewed("e", "n", skews["e"], 0)}
				p := home.publish(camera, 1)
				nodes[2].watch(camera, 0)
				last := born(p, ahead, 12)
				birth := time.UnixMicro(media.MicrosFromNTP(last.NTP)).Add(-ahead)
				for _, n := range nodes {
					age, known := n.trackOf(camera).State().Births[0].Age(last.RTP, 90000, time.Now().Add(skews[n.id]).UnixMicro())
					off := (age - time.Since(birth)).Abs()
					t.Logf("%s: %v old, wrong by %v", n.id, age, off)
					if !known || off > test.limit || off < test.least {
						t.Errorf("%s takes a packet for %v old, %v, and it is %v old", n.id, age, known, time.Since(birth))
					}
				}
			})
		})
	}
}

func TestQueuesDoNotMoveClocks(t *testing.T) {
	var c clocks
	for i := range 4 * clockSamples {
		s := clockSample{rtt: 50_000, offset: 7_000_000}
		if i%clockSamples != 3 { // all but one in 5 s wait in a queue on one of the ways
			wait := int64(i%7) * 20_000
			s.rtt, s.offset = s.rtt+wait, s.offset+wait/2
		}
		if got := c.take(s); i > 3 && got != 7_000_000 {
			t.Fatalf("after %d samples the clocks differ by %d µs", i, got)
		}
	}
}

func TestAgeIsNotKnownBelowANodeThatDoesNotTell(t *testing.T) {
	inWorld(t, near, 0, func(t *testing.T, w *world) {
		home, mid, edge := w.node("h", ""), w.node("m", "h"), w.node("e", "m")
		p := home.publish(camera, 1)
		v := edge.watch(camera, 0)
		last := born(p, 0, 3)
		// From here on the node above says nothing of births, as one of the release before.
		_, downs := mid.links.all()
		for _, s := range downs[0].list() {
			said := wire.TrackState{Known: true, Live: true, Info: v.track.State().Info, Hops: 1, Path: []string{"m", "h"}}
			downs[0].send(&wire.State{Sub: s.id, State: said})
		}
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		if _, known := v.track.State().Births[0].Age(last.RTP, 90000, now.UnixMicro()); !known {
			t.Error("what was told a moment ago is not believed")
		}
		late := now.Add(media.MaxBirthAge + 2*time.Second).UnixMicro()
		if _, known := v.track.State().Births[0].Age(last.RTP, 90000, late); known {
			t.Error("what was told long ago is still believed")
		}
	})
}

func TestSoundAndPictureMeanTheSameInstantAfterThreeHops(t *testing.T) {
	inWorld(t, 25*time.Millisecond, 0.01, func(t *testing.T, w *world) {
		home := w.skewed("h", "", time.Minute, 0)
		w.skewed("m", "h", -time.Minute, 0)
		w.old("n", "m") // which makes no difference
		edge := w.skewed("e", "n", time.Hour, 0)
		picture, sound := home.publish(camera, 3), home.publish(microphone, 1)
		v, ear := edge.watch(camera, 0, 1, 2), edge.watch(microphone, 0)
		// The publisher's clock is an hour off, and each layer counts from a number of its own.
		instant := time.Now().Add(time.Hour).UnixMicro()
		stamps := [media.MaxLayers]uint32{1 << 31, 77, 4_294_967_290}
		const heard = 1_000_000
		for second := range 10 {
			at := instant + int64(second)*1e6
			for l, stamp := range stamps[:3] {
				picture.track.Report(media.Layer(l), media.Clock{NTP: media.NTPFromMicros(at), RTP: stamp + uint32(second)*90000})
			}
			sound.track.Report(0, media.Clock{NTP: media.NTPFromMicros(at + 333_000), RTP: heard + uint32(second)*48000 + 15984})
			time.Sleep(time.Second)
		}
		if got, want := v.track.State().Clocks, picture.track.State().Clocks; got != want {
			t.Errorf("the picture's reports came as %+v, want %+v", got, want)
		}
		if got, want := ear.track.State().Clocks, sound.track.State().Clocks; got != want {
			t.Errorf("the sound's reports came as %+v, want %+v", got, want)
		}
		later := instant + 20_000_000
		for l, stamp := range stamps[:3] {
			at := v.track.State().Clocks[l].Micros(stamp+20*90000, 90000)
			hear := ear.track.State().Clocks[0].Micros(heard+20*48000, 48000)
			if d := at - hear; d > 1000 || d < -1000 || at-later > 1000 || at-later < -1000 {
				t.Errorf("%s: layer %d is %d µs beside the sound and %d beside the instant", fmt.Sprint(stamp), l, d, at-later)
			}
		}
	})
}
