package client

import (
	"testing"
	"time"
)

// part is one packet for the keyframe finder.
type part struct {
	seq     uint16
	ts      uint32
	marker  bool
	payload []byte
}

var (
	keyStart = []byte{0x90, 0x80, 0x81, 0x02, 0x10, 0, 0} // X, I, 15-bit picture identifier, P = 0
	midFrame = []byte{0x80, 0x80, 0x81, 0x02, 0x10, 0, 0}
	delta    = []byte{0x90, 0x80, 0x81, 0x02, 0x11, 0, 0}
	sps      = []byte{0x67, 1, 2}
	pps      = []byte{0x68, 1, 2}
	idr      = []byte{0x65, 1, 2}
	slice    = []byte{0x41, 1, 2}
	idrStart = []byte{0x7c, 0x85, 1}
	idrEnd   = []byte{0x7c, 0x45, 1}
	bundle   = []byte{0x78, 0, 3, 0x67, 1, 2, 0, 3, 0x68, 1, 2, 0, 3, 0x65, 1, 2}
)

func TestKeyframeIsFoundWhenWhole(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec codec
		parts []part
		found int // the part with which it is whole, -1 for none
	}{
		{"vp8 one packet", vp8, []part{{1, 9, true, keyStart}}, 0},
		{"vp8 plain descriptor", vp8, []part{{1, 9, true, []byte{0x10, 0x10, 0}}}, 0},
		{"vp8 after deltas", vp8, []part{{1, 6, true, delta}, {2, 9, false, keyStart}, {3, 9, true, midFrame}}, 2},
		{"vp8 out of order", vp8, []part{{3, 9, true, midFrame}, {1, 9, false, keyStart}, {2, 9, false, midFrame}}, 2},
		{"vp8 hole", vp8, []part{{1, 9, false, keyStart}, {3, 9, true, midFrame}, {4, 12, true, delta}}, -1},
		{"vp8 hole repaired late", vp8, []part{{1, 9, false, keyStart}, {3, 9, true, midFrame}, {4, 12, true, delta}, {2, 9, false, midFrame}}, 3},
		{"vp8 the second is whole", vp8, []part{{1, 9, false, keyStart}, {3, 9, true, midFrame}, {4, 12, false, keyStart}, {5, 12, true, midFrame}}, 3},
		{"vp8 deltas only", vp8, []part{{1, 6, true, delta}, {2, 9, true, delta}}, -1},
		{"h264 single units", h264, []part{{1, 9, false, sps}, {2, 9, false, pps}, {3, 9, true, idr}}, 2},
		{"h264 bundled", h264, []part{{1, 9, true, bundle}}, 0},
		{"h264 fragments", h264, []part{{1, 9, false, sps}, {2, 9, false, idrStart}, {3, 9, true, idrEnd}}, 2},
		{"h264 without parameters", h264, []part{{1, 9, true, idr}, {2, 12, true, slice}}, -1},
		{"h264 parameters before", h264, []part{{1, 6, false, sps}, {2, 6, true, slice}, {3, 9, true, idr}}, 2},
		{"h264 parameters alone", h264, []part{{1, 9, true, sps}}, -1},
		{"unknown", unknownCodec, []part{{1, 9, true, keyStart}}, -1},
		{"empty payload", vp8, []part{{1, 9, true, nil}}, -1},
	} {
		k := keyframe{codec: tc.codec}
		var s span
		found := -1
		for i, p := range tc.parts {
			n, _ := s.add(p.seq, time.Time{})
			if k.add(&s, n, p.ts, p.marker, p.payload) {
				found = i
			}
		}
		if found != tc.found {
			t.Errorf("%s: whole with part %d, want %d", tc.name, found, tc.found)
		}
	}
}

func FuzzKeyframe(f *testing.F) {
	for _, p := range [][]byte{keyStart, midFrame, delta, sps, idrStart, bundle, {0x90, 0xff}, {0x78, 0xff}} {
		f.Add(p)
	}
	f.Fuzz(func(_ *testing.T, payload []byte) {
		vp8Begins(payload)
		h264Holds(payload)
	})
}
