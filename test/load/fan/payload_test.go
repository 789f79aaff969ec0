package fan

import (
	"slices"
	"testing"
	"time"
)

func TestMarkSurvivesAndDamageShows(t *testing.T) {
	want := mark{number: 1 << 40, frame: 70_000, index: 3, of: 9, key: true}
	for _, video := range []bool{true, false} {
		var b []byte
		if video {
			b = videoPayload(nil, 1157, want)
		} else {
			b = soundPayload(nil, 1157, want)
		}
		if len(b) != 1157 {
			t.Fatalf("%d bytes", len(b))
		}
		if got, ok := readMark(b, video); !ok || got != want {
			t.Errorf("video %v: %+v, %v", video, got, ok)
		}
		b[len(b)-1] ^= 1
		if _, ok := readMark(b, video); ok {
			t.Errorf("video %v: a changed byte is not noticed", video)
		}
		if _, ok := readMark(b[:10], video); ok {
			t.Errorf("video %v: half a payload is taken for a whole one", video)
		}
	}
}

func TestPictureIsWholeWithItsLastPacket(t *testing.T) {
	key := func(frame uint32, index uint8) mark { return mark{frame: frame, index: index, of: 3, key: true} }
	for _, c := range []struct {
		name  string
		marks []mark
		want  bool
	}{
		{"all packets", []mark{key(5, 0), key(5, 1), key(5, 2)}, true},
		{"in any order", []mark{key(5, 2), key(5, 0), key(5, 1)}, true},
		{"one is missing", []mark{key(5, 0), key(5, 2)}, false},
		{"one came twice", []mark{key(5, 0), key(5, 2), key(5, 2)}, false},
		{"parts of two frames", []mark{key(5, 0), key(5, 1), key(6, 2)}, false},
		{"an older one between", []mark{key(6, 0), key(5, 1), key(6, 1), key(6, 2)}, true},
		{"no keyframe", []mark{{frame: 5, of: 1}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p picture
			if got := slices.ContainsFunc(c.marks, p.add); got != c.want {
				t.Errorf("whole: %v", got)
			}
		})
	}
}

func TestPaceMeetsTheBitrate(t *testing.T) {
	for _, c := range []struct{ bitrate, packets, size int }{{500_000, 2, 1041}, {2_500_000, 9, 1157}, {1000, 1, leastPayload}} {
		p := paceOf(c.bitrate)
		if p.packets != c.packets || p.size != c.size || p.frames != 30 || p.sounds != 50 {
			t.Errorf("%d bps: %+v", c.bitrate, p)
		}
	}
	p := paceOf(500_000).filling(1000, 5*time.Second, 1e6)
	if video := p.frames * float64(p.packets); video < 200 || video > 201 || p.sounds != 200 {
		t.Errorf("filling: %+v", p)
	}
	if p, q := paceOf(500_000), paceOf(500_000).filling(1000, 5*time.Second, 70); p != q {
		t.Errorf("filling a large class: %+v", q)
	}
}
