package client

import (
	"testing"
	"time"
)

// tenFrames is a clip with keyframes at 0 and 5 and a packet of sound for every frame.
func tenFrames() *clip {
	c := &clip{frame: soundPacket, keys: make([]bool, 10)}
	c.keys[0], c.keys[5] = true, true
	for i := range c.keys {
		c.sound = append(c.sound, []byte{byte(i)})
	}
	return c
}

func TestPlayerJumpsToTheNearestKeyframe(t *testing.T) {
	for _, tc := range []struct {
		name           string
		asked, at, two int // asked for at the asked-th frame, which is at; two frames later
	}{
		{"just after one", 1, 0, 2},
		{"just before one", 4, 5, 7},
		{"on one", 5, 5, 7},
		{"before the end", 9, 0, 2},
		{"in the second round", 13, 15 % 10, 7},
	} {
		p := player{clip: tenFrames()}
		for n := range tc.asked {
			if got := p.frame(n, false); got != n%10 {
				t.Fatalf("%s: frame %d is %d", tc.name, n, got)
			}
		}
		if got := p.frame(tc.asked, true); got != tc.at {
			t.Errorf("%s: the keyframe is %d, want %d", tc.name, got, tc.at)
		}
		if got := p.sound(tc.asked); int(got[0]) != tc.at {
			t.Errorf("%s: the sound is at %d, the picture at %d", tc.name, got[0], tc.at)
		}
		if got := p.frame(tc.asked+2, false); got != tc.two {
			t.Errorf("%s: two frames later is %d, want %d", tc.name, got, tc.two)
		}
	}
}

func TestSoundEndsBeforeThePictureInSilence(t *testing.T) {
	c := tenFrames()
	c.sound = c.sound[:8]
	p := player{clip: c}
	if p.sound(7) == nil || p.sound(8) != nil || p.sound(9) != nil || p.sound(10) == nil {
		t.Error("the sound does not follow the loop of the picture")
	}
}

func TestHistogramIsRightToTwoPercent(t *testing.T) {
	var h histogram
	if h.percentile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for part, want := range map[float64]time.Duration{
		0.5: 500 * time.Millisecond, 0.95: 950 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second,
	} {
		if got := h.percentile(part); (got - want).Abs() > want/50 {
			t.Errorf("percentile %v is %s, want %s", part, got, want)
		}
	}
}

func TestHistogramHoldsWhatIsOutOfRange(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, histogramUnit, time.Minute, time.Hour} {
		var h histogram
		h.add(d)
		want := min(max(d, 0), histogramMax)
		if got := h.percentile(0.99); (got - want).Abs() > want/50 {
			t.Errorf("%s is read as %s", d, got)
		}
	}
}
