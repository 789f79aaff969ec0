package origin

import (
	"encoding/hex"
	"testing"
)

// vp8Key is the start of a keyframe of 640x360.
func vp8Key() []byte {
	return []byte{0x90, 0xe0, 0x81, 0x02, 0x05, 0x20, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 1, 2, 3}
}

func TestLookVP8(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    look
	}{
		"keyframe":                {vp8Key(), look{starts: true, sure: true, key: true, width: 640, height: 360}},
		"keyframe, plain":         {[]byte{0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02}, look{starts: true, sure: true, key: true, width: 1280, height: 720}},
		"scaled keyframe":         {[]byte{0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x45, 0xd0, 0x82}, look{starts: true, sure: true, key: true, width: 1280, height: 720}},
		"delta":                   {[]byte{0x90, 0x80, 0x01, 0x51, 1, 2}, look{starts: true, sure: true}},
		"second packet":           {[]byte{0x80, 0x80, 0x01, 0x50, 1, 2}, look{sure: true}},
		"second partition":        {[]byte{0x11, 0x50, 1, 2}, look{sure: true}},
		"nothing":                 {nil, look{empty: true}},
		"descriptor only":         {[]byte{0x90, 0x80, 0x01}, look{sure: true, empty: true}},
		"cut descriptor":          {[]byte{0x90, 0xe0, 0x81}, look{sure: true}},
		"extension bit, no octet": {[]byte{0x90}, look{sure: true}},
		"keyframe without header": {[]byte{0x10, 0x50, 0x01}, look{starts: true, sure: true, key: true}},
	} {
		if got := lookVP8(c.payload); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Parameter sets as encoders write them: x264 High 1280x720, x264 baseline 640x360, x264 High 1920x1080 (cropped).
const (
	spsHigh720     = "6764001facd9405005bb016a02020280000003008000001e478c18cb"
	spsBaseline360 = "6742c01ed900a02ff970110000030001000003003c0f162e48"
	spsHigh1080    = "67640028acd940780227e5c05a808080a0000003002000000781e30632c0"
)

func TestParseSPS(t *testing.T) {
	for s, want := range map[string][2]uint16{
		spsHigh720: {1280, 720}, spsBaseline360: {640, 360}, spsHigh1080: {1920, 1080},
	} {
		w, h, ok := parseSPS(unhex(t, s))
		if !ok || w != want[0] || h != want[1] {
			t.Errorf("%s: %dx%d %v, want %v", s, w, h, ok, want)
		}
	}
	for _, s := range []string{"", "67", "6764001f", "6764001f00000000", "67640028ffffffffff"} {
		if w, h, ok := parseSPS(unhex(t, s)); ok {
			t.Errorf("%q: %dx%d", s, w, h)
		}
	}
}

func TestLookH264(t *testing.T) {
	sps := unhex(t, spsHigh720)
	stap := append([]byte{24, 0, byte(len(sps))}, sps...)
	stap = append(stap, 0, 2, 0x68, 0xee)
	for name, c := range map[string]struct {
		payload []byte
		want    look
	}{
		"SPS alone":            {sps, look{starts: true, key: true, width: 1280, height: 720}},
		"PPS alone":            {[]byte{0x68, 0xee, 0x3c}, look{}},
		"SPS and PPS together": {stap, look{starts: true, key: true, width: 1280, height: 720}},
		"IDR alone":            {[]byte{0x65, 0x88, 0x84}, look{key: true}},
		"IDR, first part":      {[]byte{0x7c, 0x85, 0x88}, look{key: true}},
		"IDR, a later part":    {[]byte{0x7c, 0x05, 0x88}, look{key: true}},
		"first slice":          {[]byte{0x41, 0x9a, 0x00}, look{starts: true}},
		"later slice":          {[]byte{0x41, 0x1a, 0x00}, look{}},
		"slice, first part":    {[]byte{0x5c, 0x81, 0x9a}, look{starts: true}},
		"slice, a later part":  {[]byte{0x5c, 0x01, 0x9a}, look{}},
		"delimiter alone":      {[]byte{0x09, 0xf0}, look{empty: true}},
		"information alone":    {[]byte{0x06, 0x05, 0x01, 0xff, 0x80}, look{empty: true}},
		"filler":               {[]byte{0x0c, 0xff, 0x80}, look{empty: true}},
		"broken STAP-A":        {[]byte{24, 0xff, 0xff, 1}, look{}},
		"short FU-A":           {[]byte{0x7c, 0x85}, look{}},
		"nothing":              {nil, look{empty: true}},
	} {
		if got := lookH264(c.payload); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzLook(f *testing.F) {
	f.Add(vp8Key())
	for _, s := range []string{spsHigh720, spsBaseline360, spsHigh1080, "180004674200", "7c8588", "9009f0"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		lookVP8(p)
		lookH264(p)
		if w, h, ok := parseSPS(p); ok && (w == 0 || h == 0) {
			t.Errorf("a picture of %dx%d", w, h)
		}
	})
}
