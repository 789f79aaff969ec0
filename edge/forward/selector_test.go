package forward

import (
	"testing"

	"lyceum/mesh/media"
)

const keyFirst = media.Key | media.First

func TestSelector(t *testing.T) {
	type step struct {
		aim  media.Layer
		p    media.Packet
		want Verdict
	}
	for name, steps := range map[string][]step{
		"starts at the first packet of a keyframe of the target": {
			{2, media.Packet{Layer: 2, Source: 1, Flags: media.First}, Drop},
			{2, media.Packet{Layer: 2, Source: 1, Flags: media.Key}, Drop},
			{2, media.Packet{Layer: 1, Source: 1, Flags: keyFirst}, Drop},
			{2, media.Packet{Layer: 2, Source: 1, Flags: keyFirst}, Begin},
			{2, media.Packet{Layer: 2, Source: 1, Flags: media.Key}, Continue},
			{2, media.Packet{Layer: 2, Source: 1}, Continue},
			{2, media.Packet{Layer: 1, Source: 1}, Drop},
		},
		"keeps the old layer until the keyframe of the new one": {
			{2, media.Packet{Layer: 2, Source: 1, Flags: keyFirst}, Begin},
			{0, media.Packet{Layer: 0, Source: 1}, Drop},
			{0, media.Packet{Layer: 2, Source: 1}, Continue},
			{0, media.Packet{Layer: 0, Source: 1, Flags: keyFirst}, Begin},
			{0, media.Packet{Layer: 2, Source: 1, Flags: keyFirst}, Drop},
			{0, media.Packet{Layer: 0, Source: 1}, Continue},
		},
		"does not go back in time to change layers": {
			{2, media.Packet{Layer: 2, Source: 1, Flags: keyFirst, Captured: 10_000_000}, Begin},
			{2, media.Packet{Layer: 2, Source: 1, Captured: 11_000_000}, Continue},
			{0, media.Packet{Layer: 0, Source: 1, Flags: keyFirst, Captured: 10_500_000}, Drop},
			{0, media.Packet{Layer: 0, Source: 1, Flags: keyFirst, Captured: 10_950_000}, Begin},
		},
		"does not compare clocks that have nothing to do with one another": {
			{2, media.Packet{Layer: 2, Source: 1, Flags: keyFirst, Captured: 1_000_000_000}, Begin},
			{0, media.Packet{Layer: 0, Source: 1, Flags: keyFirst, Captured: 10}, Begin},
		},
		"a new source begins with a keyframe": {
			{0, media.Packet{Source: 1, Flags: keyFirst, Captured: 10_000_000}, Begin},
			{0, media.Packet{Source: 2, Captured: 1}, Drop},
			{0, media.Packet{Source: 2, Flags: keyFirst, Captured: 1}, Begin},
			{0, media.Packet{Source: 1}, Drop},
		},
	} {
		s := NewSelector(media.Video)
		for i, st := range steps {
			s.Aim(st.aim)
			got := s.Take(&st.p)
			if got != st.want {
				t.Errorf("%s: step %d is %d, want %d", name, i, got, st.want)
			}
			if got == Begin {
				s.Begin(&st.p)
			}
		}
	}
}

func TestSelectorSaysWhatItWaitsFor(t *testing.T) {
	s := NewSelector(media.Video)
	s.Aim(2)
	if l, waits := s.Waits(); !waits || l != 2 {
		t.Errorf("before all: waits %v for %d", waits, l)
	}
	s.Begin(&media.Packet{Layer: 2})
	if _, waits := s.Waits(); waits || s.Layers() != media.LayersOf(2) {
		t.Errorf("playing: waits %v, layers %b", waits, s.Layers())
	}
	s.Aim(0)
	if l, waits := s.Waits(); !waits || l != 0 || s.Layers() != media.LayersOf(0, 2) {
		t.Errorf("changing: waits %v for %d, layers %b", waits, l, s.Layers())
	}
	s.Restart()
	if got := s.Take(&media.Packet{Layer: 2}); got != Drop {
		t.Errorf("after a restart: %d", got)
	}
}

func TestSoundBeginsAnywhere(t *testing.T) {
	s := NewSelector(media.Audio)
	p := media.Packet{Source: 1, Flags: media.First | media.Last}
	if got := s.Take(&p); got != Begin {
		t.Fatalf("the first packet: %d", got)
	}
	s.Begin(&p)
	if got := s.Take(&p); got != Continue {
		t.Errorf("the next packet: %d", got)
	}
	p.Source = 2
	if got := s.Take(&p); got != Begin {
		t.Errorf("another source: %d", got)
	}
	if _, waits := s.Waits(); waits {
		t.Error("sound waits for a keyframe")
	}
}
