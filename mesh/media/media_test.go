package media

import (
	"slices"
	"testing"
)

func TestClockRoundTrips(t *testing.T) {
	for _, us := range []int64{0, 1, 999_999, 1_764_057_600_123_456} {
		if got := MicrosFromNTP(NTPFromMicros(us)); got != us {
			t.Errorf("%d µs came back as %d", us, got)
		}
	}
	c := Clock{NTP: NTPFromMicros(1_764_057_600_000_000), RTP: 0xffff_fff0}
	if got := c.At(1_764_057_601_000_000, 90000); got != 89984 {
		t.Errorf("one second later is %d, want 89984 (around the wrap)", got)
	}
	if got := c.Micros(89984, 90000); got != 1_764_057_601_000_000 {
		t.Errorf("timestamp 89984 is %d", got)
	}
	if got := c.At(1_764_057_599_000_000, 48000); got != 0xffff_fff0-48000 {
		t.Errorf("one second earlier is %d", got)
	}
}

func TestLayerSet(t *testing.T) {
	s := LayersOf(0, 2)
	if !s.Has(0) || s.Has(1) || !s.Has(2) || s.Has(9) || s.Len() != 2 {
		t.Errorf("set %b", s)
	}
	if got := slices.Collect(s.Add(1).All()); !slices.Equal(got, []Layer{0, 1, 2}) {
		t.Errorf("layers %v", got)
	}
}

func TestCloneReusesMemory(t *testing.T) {
	src := Packet{Number: 7, Payload: []byte{1, 2, 3}}
	dst := Packet{Payload: make([]byte, 0, 16)}
	buf := dst.Payload[:1]
	src.Clone(&dst)
	if dst.Number != 7 || len(dst.Payload) != 3 || &buf[0] != &dst.Payload[0] {
		t.Errorf("clone %+v", dst)
	}
	src.Payload[0] = 9
	if dst.Payload[0] != 1 {
		t.Error("the clone shares memory with its source")
	}
}
