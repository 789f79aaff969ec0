package main

import (
	"log/slog"
	"testing"
	"time"
)

// TestALinkIsMeasured runs the whole laboratory for a moment, on a path that shows in the figures.
func TestALinkIsMeasured(t *testing.T) {
	row := Row{Name: "test", Path: Path{Delay: 10 * time.Millisecond}, Cams: 1, Rates: []int{500_000}}
	r, err := measure(t.Context(), row, Setup{
		Stripes: 2, Warm: 200 * time.Millisecond, For: time.Second, Seed: 1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Missing != 0 || r.SoundsLost != 0 || r.Frames < 25 || r.Sounds < 40 || r.Stripes != 2 {
		t.Errorf("%+v", r)
	}
	if r.Ordered.P50 < 10 || r.Complete.P50 > r.Ordered.P50 || r.PerPacket < .5 {
		t.Errorf("%+v", r)
	}
}

func TestFramesMakeUpTheRate(t *testing.T) {
	for _, rate := range []int{fullRate, 500_000, 2_800_000} {
		bytes := frameSize(rate, true) + (keyInterval-1)*frameSize(rate, false)
		if got := bytes * 8 * fps / keyInterval; got > rate || got < rate*99/100 {
			t.Errorf("%d bits a second, want %d", got, rate)
		}
	}
	if frameSize(fullRate, true) != fullKey {
		t.Errorf("a keyframe of 3 Mbps has %d bytes", frameSize(fullRate, true))
	}
}

func TestRowsAreChosenByTheirBeginning(t *testing.T) {
	some, err := choose(rows(), []string{"ten-", "bottle"})
	if err != nil || len(some) != 3 {
		t.Errorf("%d rows, %v", len(some), err)
	}
	if _, err := choose(rows(), []string{"eleven"}); err == nil {
		t.Error("an unknown row was chosen")
	}
}
