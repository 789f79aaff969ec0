package forward

import (
	"math/rand/v2"
	"testing"

	"lyceum/mesh/media"
)

func TestLevelsGoDownAtOnceAndUpAtAKeyframe(t *testing.T) {
	l := NewLevels()
	of := func(frame uint64, key bool) uint8 {
		p := media.Packet{Frame: frame}
		if key {
			p.Flags = media.Key
		}
		return l.Of(&p)
	}
	l.Begin(&media.Packet{Frame: 10})
	if of(10, true) != media.MaxLevel {
		t.Error("not all passes at first")
	}
	l.Aim(1)
	if of(10, true) != media.MaxLevel {
		t.Error("a frame that has begun has lost its end")
	}
	if of(11, false) != 1 || of(10, true) != media.MaxLevel {
		t.Error("it does not go down with the next frame, or a late packet goes with it")
	}
	l.Aim(2)
	if !l.Rises(3) || of(12, false) != 1 {
		t.Error("it goes up without a keyframe")
	}
	if of(13, true) != 2 || of(14, false) != 2 || l.Rises(3) || of(12, false) != 1 {
		t.Error("it does not go up with the keyframe")
	}
	l.Aim(media.MaxLevel)
	if l.Rises(3) || !l.Rises(4) {
		t.Error("it waits for a level that there is not")
	}
}

// TestSkippedNumbersLeaveNoHole writes random packets, leaves some out, loses some and lets some come late, and compares every
// index with one that is counted.
func TestSkippedNumbersLeaveNoHole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		r := NewRewriter(100, 0)
		const first = 1 << 40
		head := 0
		kind := make([]int, 3000) // 0 is sent, 1 left out, 2 and more comes late or never
		for i := 1; i < len(kind); i++ {
			kind[i] = max(0, rnd.IntN(8)-3)
		}
		index := map[int]uint64{}
		next := r.Next()
		for i, k := range kind {
			if index[i] = next; k != 1 {
				next++
			}
		}
		packet := func(i int) *media.Packet {
			return &media.Packet{Source: 1, Number: first + uint64(i), Timestamp: uint32(i)}
		}
		r.Begin(packet(0), &Descriptor{}, 0, 90000, 0)
		var out Sent
		for i, k := range kind {
			switch k {
			case 0:
				if !r.Rewrite(packet(i), &Descriptor{}, 0, &out) || out.Index != index[i] {
					t.Fatalf("round %d: number %d is at %d, want %d", round, i, out.Index, index[i])
				}
			case 1:
				r.Skip(first + uint64(i))
			}
			if k < 2 {
				head = i
			}
			late := head - rnd.IntN(skipSpan+100)
			if late < 0 {
				continue
			}
			before, near := r.Next(), head-late < skipSpan
			switch ok := r.Rewrite(packet(late), &Descriptor{}, 0, &out); {
			case kind[late] == 1 && ok:
				t.Fatalf("round %d: number %d was left out and is sent at %d", round, late, out.Index)
			case kind[late] != 1 && near && (!ok || out.Index != index[late]):
				t.Fatalf("round %d: late number %d is at %d %v, want %d", round, late, out.Index, ok, index[late])
			case ok && out.Index != index[late]:
				t.Fatalf("round %d: number %d of long ago is at %d, want none or %d", round, late, out.Index, index[late])
			case r.Next() != before:
				t.Fatalf("round %d: a late packet moved the end", round)
			}
		}
	}
}

func TestARunAfterASkipContinues(t *testing.T) {
	r := NewRewriter(100, 0)
	packet := func(n uint64) *media.Packet { return &media.Packet{Source: 1, Number: n, Timestamp: uint32(n)} }
	var out Sent
	write := func(n, want uint64) {
		t.Helper()
		if !r.Rewrite(packet(n), &Descriptor{}, 0, &out) || out.Index != want {
			t.Errorf("number %d is at %d, want %d", n, out.Index, want)
		}
	}
	r.Begin(packet(1000), &Descriptor{}, 1000, 90000, 0)
	write(1000, 100)
	r.Skip(1001)
	r.Skip(1001) // the same again
	write(1002, 101)
	r.Skip(1003)
	r.Begin(packet(1100), &Descriptor{}, 1100, 90000, 0) // what is between is given up
	write(1100, 102)
	r.Skip(1101)
	write(1102, 103)
	write(1002, 101)
	if r.Rewrite(packet(1001), &Descriptor{}, 0, &out) {
		t.Error("what was left out of the run before is sent")
	}
	r.Begin(packet(1000), &Descriptor{}, 1102, 90000, 0) // a replay, now with everything
	for n := range uint64(5) {
		write(1000+n, 104+n)
	}
	r.Skip(1005)
	if n := testing.AllocsPerRun(100, func() { r.Rewrite(packet(1003), &Descriptor{}, 0, &out); r.Skip(1006) }); n > 1 { // the packet
		t.Errorf("%v allocations", n)
	}
}

func TestIdentifiersOfVP9AndAV1AreContinued(t *testing.T) {
	vp9 := media.Packet{Payload: []byte{0xa0, 0x80 | 0x7f, 0xff, 0x05, 3, 9, 9}}
	d := FormatVP9.Parse(&vp9)
	if d.IDs != (IDs{Picture: 0x7fff, TL0: 3}) {
		t.Errorf("VP9 says %+v", d.IDs)
	}
	d.Patch(vp9.Payload, IDs{Picture: 2, TL0: 7})
	if got := FormatVP9.Parse(&vp9); got.IDs != (IDs{Picture: 2, TL0: 7}) || vp9.Payload[3] != 5 {
		t.Errorf("VP9 was made %x", vp9.Payload)
	}
	av1 := media.Packet{Flags: media.Described, Payload: media.JoinDescriptor(nil, []byte{0xc1, 0xff, 0xff}, []byte{8, 9})}
	d = FormatAV1.Parse(&av1)
	if d.Picture != 0xffff {
		t.Errorf("AV1 says %+v", d.IDs)
	}
	var s shift
	s.last.Picture = 0xfffe
	s.begin(&d)
	if s.apply(&d).Picture != 0xffff {
		t.Errorf("the frame number becomes %d", s.apply(&d).Picture)
	}
	d.Patch(av1.Payload, IDs{Picture: 0x0102})
	if got, _ := media.SplitDescriptor(av1.Payload); got[0] != 0xc1 || got[1] != 1 || got[2] != 2 {
		t.Errorf("AV1 was made %x", av1.Payload)
	}
	if d := FormatAV1.Parse(&media.Packet{Payload: av1.Payload}); d != (Descriptor{}) {
		t.Errorf("without a descriptor AV1 says %+v", d)
	}
}

func FuzzFormatsPatchWhatTheyParse(f *testing.F) {
	f.Add([]byte{0xa0, 0xff, 0xff, 0x05, 3, 9, 9}, uint16(1), byte(2))
	f.Add([]byte{3, 0xc1, 0xff, 0xff, 8, 9}, uint16(1), byte(2))
	f.Fuzz(func(t *testing.T, payload []byte, picture uint16, tl0 byte) {
		for _, format := range []Format{FormatVP8, FormatVP9, FormatAV1} {
			p := media.Packet{Flags: media.Described, Payload: append([]byte(nil), payload...)}
			d := format.Parse(&p)
			d.Patch(p.Payload, IDs{Picture: picture & d.mask, TL0: tl0})
			after := format.Parse(&p)
			if d.pictureAt != 0 && after.Picture != picture&d.mask || d.tl0At != 0 && after.TL0 != tl0 {
				t.Errorf("format %d: %x became %x", format, payload, p.Payload)
			}
		}
	})
}
