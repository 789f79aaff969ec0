package forward

import (
	"bytes"
	"testing"
)

func TestVP8DescriptorIsReadAndPatched(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    IDs
		patched []byte // with picture 0x1234, TL0 0x56, key 0x1f
	}{
		"nothing extended":      {[]byte{0x10, 1, 2}, IDs{}, []byte{0x10, 1, 2}},
		"wide picture id":       {[]byte{0x90, 0x80, 0x81, 0x02, 9}, IDs{Picture: 0x102}, []byte{0x90, 0x80, 0x92, 0x34, 9}},
		"narrow picture id":     {[]byte{0x90, 0x80, 0x11, 9}, IDs{Picture: 0x11}, []byte{0x90, 0x80, 0x34, 9}},
		"all of it":             {[]byte{0x90, 0xf0, 0x81, 0x02, 7, 0xe3, 9}, IDs{Picture: 0x102, TL0: 7, Key: 3}, []byte{0x90, 0xf0, 0x92, 0x34, 0x56, 0xff, 9}},
		"TL0 alone":             {[]byte{0x80, 0x40, 7, 9}, IDs{TL0: 7}, []byte{0x80, 0x40, 0x56, 9}},
		"TID without KEYIDX":    {[]byte{0x80, 0x20, 0xe3, 9}, IDs{}, []byte{0x80, 0x20, 0xe3, 9}},
		"cut before the id":     {[]byte{0x90, 0x80}, IDs{}, []byte{0x90, 0x80}},
		"cut within the id":     {[]byte{0x90, 0x80, 0x81}, IDs{}, []byte{0x90, 0x80, 0x81}},
		"cut before TL0":        {[]byte{0x90, 0xc0, 0x11}, IDs{}, []byte{0x90, 0xc0, 0x11}},
		"cut before the KEYIDX": {[]byte{0x90, 0x90, 0x11}, IDs{}, []byte{0x90, 0x90, 0x11}},
		"empty":                 {nil, IDs{}, nil},
	} {
		d := ParseVP8(c.payload)
		if d.IDs != c.want {
			t.Errorf("%s: read %+v, want %+v", name, d.IDs, c.want)
		}
		got := bytes.Clone(c.payload)
		d.Patch(got, IDs{Picture: 0x1234, TL0: 0x56, Key: 0x1f})
		if !bytes.Equal(got, c.patched) {
			t.Errorf("%s: patched to % x, want % x", name, got, c.patched)
		}
	}
}

func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x81, 0x02, 7, 0xe3, 9}, uint16(0x1234), uint8(5), uint8(3))
	f.Add([]byte{0x90, 0x80}, uint16(1), uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, payload []byte, picture uint16, tl0, key uint8) {
		before := ParseVP8(payload)
		ids := IDs{Picture: picture & 0x7fff, TL0: tl0, Key: key & 0x1f}
		got := bytes.Clone(payload)
		before.Patch(got, ids)
		if len(got) != len(payload) {
			t.Fatal("the length has changed")
		}
		after := ParseVP8(got)
		if after.pictureAt != before.pictureAt || after.tl0At != before.tl0At || after.keyAt != before.keyAt || after.mask != before.mask {
			t.Fatalf("the shape has changed from %+v to %+v", before, after)
		}
		if before.mask == narrow {
			ids.Picture &= 0x7f
		}
		if before.pictureAt != 0 && after.Picture != ids.Picture || before.tl0At != 0 && after.TL0 != ids.TL0 || before.keyAt != 0 && after.Key != ids.Key {
			t.Fatalf("read back %+v, want %+v", after.IDs, ids)
		}
		after.Patch(got, before.IDs)
		if !bytes.Equal(got, payload) {
			t.Fatalf("% x came back as % x", payload, got)
		}
	})
}
