package edge

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/media"
)

// observed returns how often something was observed, and the mean in milliseconds.
func observed(t *testing.T, o prometheus.Observer) (n uint64, mean float64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(o.(prometheus.Collector))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	return h.GetSampleCount(), h.GetSampleSum() * 1e3 / float64(max(h.GetSampleCount(), 1))
}

func TestEdgeKnowsHowOldAFrameIsWhenItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = 85 * time.Millisecond
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.teach(50)
		delays := c.pump.metrics.delays[media.Video]
		if n, _ := observed(t, delays); n != 0 || c.pump.delays.micros.Load() != 0 {
			t.Errorf("%d frames have an age that is not known", n)
		}
		// The frame that is written now was born a while ago.
		for l := range media.Layer(3) {
			p := te.packet(l, 0, false)
			te.number[l]--
			c.track.Born(l, media.Clock{NTP: media.NTPFromMicros(time.Now().Add(-age).UnixMicro()), RTP: p.Timestamp})
		}
		te.teach(100)
		n, mean := observed(t, delays)
		if n != 100 || math.Abs(mean-85) > 1 {
			t.Errorf("%d frames are %.1f ms old, want 100 and 85", n, mean)
		}
		r := &room{shards: []*shard{{pumps: map[string]*pump{media.Camera: c.pump}}}}
		if got := r.delaysLocked()[media.Camera]; math.Abs(got-85) > 1 {
			t.Errorf("/status says %v ms", got)
		}
		// A student who comes later is sent old frames on purpose.
		c.join(media.Video)
		te.teach(10)
		if n, mean := observed(t, delays); n != 110 || mean > 86 {
			t.Errorf("%d frames are %.1f ms old", n, mean)
		}
		// What was told of the birth more than a minute ago is not believed.
		te.teach(25 * 70)
		before, _ := observed(t, delays)
		te.teach(50)
		if n, _ := observed(t, delays); n != before {
			t.Errorf("%d frames have an age though nothing was heard of their birth for long", n-before)
		}
	})
}

func TestReplayTellsNothingOfTheWay(t *testing.T) {
	var d delays
	for i := range int64(10) { // two seconds of frames come at once
		if d.note(1, 2*time.Second-time.Duration(i)*40*time.Millisecond, 1+i) {
			t.Fatalf("frame %d of a replay counts", i)
		}
	}
	if !d.note(1, 900*time.Millisecond, 20) || !d.note(1, 3*time.Second, 30) {
		t.Error("what is late after the replay does not count")
	}
	d.forget(media.LayersOf(0))
	if d.note(1, 2*time.Second, 40) {
		t.Error("a layer that begins anew counts at once")
	}
	if !d.note(1, 2*time.Second, 40+replayFor.Microseconds()+1) {
		t.Error("a layer that is late all the time never counts")
	}
}
