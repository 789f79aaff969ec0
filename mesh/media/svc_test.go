package media

import (
	"bytes"
	"testing"
)

func TestVP9Descriptor(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    VP9
		ok      bool
	}{
		"nothing":        {nil, VP9{}, false},
		"bare":           {[]byte{0x0c, 1}, VP9{Begins: true, Ends: true, Body: 1}, true},
		"narrow picture": {[]byte{0x80, 0x11, 1}, VP9{Picture: 0x11, PictureAt: 1, Body: 2}, true},
		"wide picture, level 2 of a later picture": {
			[]byte{0xe4, 0x81, 0x02, 0x25, 0x07, 1},
			VP9{Picture: 0x102, PictureAt: 1, Wide: true, Level: 2, TL0: 7, TL0At: 4, Inter: true, Ends: true, Body: 5},
			true,
		},
		"flexible, two references": {
			[]byte{0xf8, 0x11, 0x02, 0x03, 0x04, 1},
			VP9{Picture: 0x11, PictureAt: 1, Level: 1, Inter: true, Begins: true, Body: 5},
			true,
		},
		"flexible, four references": {[]byte{0xf8, 0x11, 0x02, 0x03, 0x03, 0x03, 0x02, 1}, VP9{}, false},
		"structure with two sizes and a group": {
			[]byte{0x0a, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x00, 9},
			VP9{Begins: true, Width: 640, Height: 360, Body: 14},
			true,
		},
		"structure cut short": {[]byte{0x0a, 0x30, 1, 64, 0, 180, 2}, VP9{}, false},
		"picture cut short":   {[]byte{0x80, 0x81}, VP9{}, false},
	} {
		if got, ok := ParseVP9(c.payload); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, c.want)
		}
	}
}

// bitWriter writes what bitReader reads.
type bitWriter struct {
	b  []byte
	at int
}

func (w *bitWriter) put(n int, v uint32) {
	for i := n - 1; i >= 0; i-- {
		if w.at%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.at/8] |= byte(v>>i&1) << (7 - w.at%8)
		w.at++
	}
}

// l2t2 is a descriptor with a structure of two levels with two temporal layers each: four templates, four targets, two chains.
func l2t2() []byte {
	var w bitWriter
	w.put(2, 2)  // it begins
	w.put(6, 60) // the template, that of the offset
	w.put(16, 0x1234)
	w.put(5, 0x10) // with a structure
	w.put(6, 60)   // the offset: the templates are 60 to 63
	w.put(5, 3)
	for _, next := range []uint32{1, 2, 1, 3} {
		w.put(2, next)
	}
	for range 16 {
		w.put(2, 2)
	}
	for i := range uint32(4) {
		for range i {
			w.put(5, 0x10|i)
		}
		w.put(1, 0)
	}
	w.put(2, 2) // two chains, of at most four: below(5) of 2
	for range 4 {
		w.put(1, 1)
	}
	for range 8 {
		w.put(4, 1)
	}
	w.put(1, 1)
	for _, size := range []uint32{320, 180, 640, 360} {
		w.put(16, size-1)
	}
	return w.b
}

func TestDependencyDescriptorRefersToItsStructure(t *testing.T) {
	var s Structure
	if _, ok := s.Parse([]byte{0x80 | 60, 0, 1}); ok {
		t.Error("a descriptor without its structure was read")
	}
	key := l2t2()
	if d, ok := s.Parse(key); !ok || d != (Dependency{Begins: true, Frame: 0x1234, Fresh: true}) {
		t.Errorf("the keyframe: %+v %v", d, ok)
	}
	if s.Width != 640 || s.Height != 360 {
		t.Errorf("the size is %d x %d", s.Width, s.Height)
	}
	for template, level := range map[byte]uint8{60: 0, 61: 0, 62: 1, 63: 1} {
		if d, ok := s.Parse([]byte{0x40 | template, 0x12, 0x35}); !ok || d != (Dependency{Ends: true, Frame: 0x1235, Level: level}) {
			t.Errorf("template %d: %+v %v, want level %d", template, d, ok, level)
		}
	}
	if _, ok := s.Parse([]byte{3, 0, 1}); ok {
		t.Error("a template that there is not was found")
	}
	for n := range len(key) {
		before := s
		if _, ok := s.Parse(key[:n]); ok && n > 3 || s != before {
			t.Errorf("%d bytes of it were taken for the whole", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Parse(key); ParseVP9([]byte{0xe4, 0x81, 0x02, 0x25, 0x07, 1}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDescriptorTravelsInThePayload(t *testing.T) {
	dd, payload := SplitDescriptor(JoinDescriptor(nil, []byte{1, 2, 3}, []byte{4, 5}))
	if !bytes.Equal(dd, []byte{1, 2, 3}) || !bytes.Equal(payload, []byte{4, 5}) {
		t.Errorf("%v %v", dd, payload)
	}
	if dd, payload := SplitDescriptor([]byte{9, 1}); dd != nil || len(payload) != 2 {
		t.Errorf("what cannot be split became %v %v", dd, payload)
	}
	f := (Key | Ends).OfLevel(2)
	if f.Level() != 2 || !f.Has(Key|Ends) || f.Has(Described) || f.OfLevel(0) != Key|Ends || f.OfLevel(7).Level() != MaxLevel {
		t.Errorf("flags %b", f)
	}
}

func FuzzVP9(f *testing.F) {
	f.Add([]byte{0x0a, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x00, 9})
	f.Add([]byte{0xf8, 0x11, 0x02, 0x03, 0x04, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := ParseVP9(b)
		if ok && (d.Body > len(b) || int(d.PictureAt) >= len(b) || int(d.TL0At) >= len(b) || d.Wide && int(d.PictureAt)+1 >= len(b)) {
			t.Errorf("%+v lies outside of %d bytes", d, len(b))
		}
	})
}

func FuzzDependency(f *testing.F) {
	f.Add(l2t2(), []byte{0x40 | 62, 0x12, 0x35})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var s Structure
		s.Parse(a)
		if d, ok := s.Parse(b); ok && d.Level > MaxLevel {
			t.Errorf("level %d", d.Level)
		}
	})
}
