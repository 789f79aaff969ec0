package client

import (
	"encoding/binary"
	"testing"

	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// Nodes do not stamp each frame: a receiver reckons with the RTP clock, as browsers do.
func TestCaptureTimeIsReckonedBetweenStamps(t *testing.T) {
	s := &stream{rate: 90000, capture: 3}
	const stamp = int64(1_764_057_600_000_000)
	stamped := func(timestamp uint32) *rtp.Header {
		h := &rtp.Header{Timestamp: timestamp}
		if err := h.SetExtension(3, binary.BigEndian.AppendUint64(nil, media.NTPFromMicros(stamp))); err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		name string
		h    *rtp.Header
		want int64
	}{
		{"before the first stamp", &rtp.Header{Timestamp: 0xffff_f000}, 0},
		{"a stamp", stamped(0xffff_fff0), stamp},
		{"the same frame", &rtp.Header{Timestamp: 0xffff_fff0}, 0},
		{"a frame 100 ms later", &rtp.Header{Timestamp: 9000 - 16}, stamp + 100_000},
		{"its second packet", &rtp.Header{Timestamp: 9000 - 16}, 0},
		{"a frame from before the stamp", &rtp.Header{Timestamp: 0xffff_0000}, 0},
		{"a frame too far from the stamp", &rtp.Header{Timestamp: 90000 * 6}, 0},
	} {
		if got := s.captured(c.h); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
