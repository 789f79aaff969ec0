package media

import "encoding/binary"

// VP9 is what the payload descriptor of a VP9 packet says (RFC 9628, section 4.2), and where it says it.
type VP9 struct {
	// Picture is the picture id, of 15 bits if Wide and else of 7. It stands at PictureAt; 0 means that there is none.
	Picture   uint16
	PictureAt uint8
	Wide      bool
	// TL0 counts the frames of the lowest temporal layer. It stands at TL0At; 0 means that there is none.
	TL0   uint8
	TL0At uint8
	// Level is the spatial layer, 0 to 7.
	Level uint8
	// Inter says that the level's part of the picture needs an earlier picture.
	Inter bool
	// Begins and Ends say that the packet is the first and the last of its level in the picture.
	Begins, Ends bool
	// Width and Height are those of the largest level, in pixels; 0 where the packet does not say.
	Width, Height uint16
	// Body is where the descriptor ends.
	Body int
}

// ParseVP9 reads a payload descriptor. It returns false for one that is cut short.
func ParseVP9(p []byte) (VP9, bool) {
	if len(p) == 0 {
		return VP9{}, false
	}
	b := p[0]
	d := VP9{Inter: b&0x40 != 0, Begins: b&0x08 != 0, Ends: b&0x04 != 0}
	flexible := b&0x10 != 0
	at := 1
	if b&0x80 != 0 {
		if at >= len(p) {
			return VP9{}, false
		}
		d.PictureAt, d.Picture = uint8(at), uint16(p[at]&0x7f)
		if p[at]&0x80 != 0 {
			if at+1 >= len(p) {
				return VP9{}, false
			}
			d.Wide, d.Picture = true, binary.BigEndian.Uint16(p[at:])&0x7fff
			at++
		}
		at++
	}
	if b&0x20 != 0 {
		if at >= len(p) {
			return VP9{}, false
		}
		d.Level = p[at] >> 1 & 7
		at++
		if !flexible {
			if at >= len(p) {
				return VP9{}, false
			}
			d.TL0At, d.TL0 = uint8(at), p[at]
			at++
		}
	}
	for n := 0; flexible && d.Inter; n++ { // at most three references
		if at >= len(p) || n == 3 {
			return VP9{}, false
		}
		at++
		if p[at-1]&1 == 0 {
			break
		}
	}
	if b&0x02 != 0 {
		if at = d.structure(p, at); at == 0 {
			return VP9{}, false
		}
	}
	d.Body = at
	return d, at <= len(p)
}

// structure reads the scalability structure and returns where it ends, 0 if it is cut short.
func (d *VP9) structure(p []byte, at int) int {
	if at >= len(p) {
		return 0
	}
	levels, sizes, group := int(p[at]>>5)+1, p[at]&0x10 != 0, p[at]&0x08 != 0
	at++
	if sizes {
		if at+4*levels > len(p) {
			return 0
		}
		top := p[at+4*(levels-1):]
		d.Width, d.Height = binary.BigEndian.Uint16(top), binary.BigEndian.Uint16(top[2:])
		at += 4 * levels
	}
	if !group {
		return at
	}
	if at >= len(p) {
		return 0
	}
	n := int(p[at])
	at++
	for range n {
		if at >= len(p) {
			return 0
		}
		at += 1 + int(p[at]>>2&3)
	}
	return at
}
