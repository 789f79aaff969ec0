package forward

import "encoding/binary"

// IDs are the identifiers of a frame of VP8, VP9 or AV1.
type IDs struct {
	// Picture is the picture id, of 7 or 15 bits, or the frame number of AV1, of 16.
	Picture uint16
	// TL0 counts the frames of the lowest temporal layer.
	TL0 uint8
	// Key counts the keyframes of VP8, in 5 bits.
	Key uint8
}

// How wide picture ids are: 7 or 15 bits, or 16 of AV1.
const (
	narrow = 0x7f
	wide   = 0x7fff
	whole  = 0xffff
)

// Descriptor is what a packet says of its frame, and where it says it: the payload descriptor of VP8 (RFC 7741, section 4.2) and
// VP9, the dependency descriptor of AV1. The zero value says nothing and changes nothing.
type Descriptor struct {
	// IDs are those of the publisher.
	IDs

	// Where the identifiers stand in the payload; 0 for those that are not there.
	pictureAt, tl0At, keyAt uint8
	mask                    uint16 // the bits of the picture id
}

// ParseVP8 reads a payload descriptor. It returns the zero value for one that is cut short.
func ParseVP8(payload []byte) Descriptor {
	if len(payload) < 2 || payload[0]&0x80 == 0 {
		return Descriptor{}
	}
	var d Descriptor
	has, at := payload[1], 2
	if has&0x80 != 0 {
		if len(payload) <= at {
			return Descriptor{}
		}
		d.pictureAt = uint8(at)
		d.Picture, d.mask = uint16(payload[at]&0x7f), narrow
		if payload[at]&0x80 != 0 {
			if len(payload) <= at+1 {
				return Descriptor{}
			}
			d.Picture, d.mask = binary.BigEndian.Uint16(payload[at:])&wide, wide
			at++
		}
		at++
	}
	if has&0x40 != 0 {
		if len(payload) <= at {
			return Descriptor{}
		}
		d.tl0At, d.TL0 = uint8(at), payload[at]
		at++
	}
	if has&0x30 != 0 {
		if len(payload) <= at {
			return Descriptor{}
		}
		if has&0x10 != 0 {
			d.keyAt, d.Key = uint8(at), payload[at]&0x1f
		}
	}
	return d
}

// Patch writes identifiers into the payload that d was parsed from, each in the width it has there.
func (d *Descriptor) Patch(payload []byte, ids IDs) {
	if d.pictureAt != 0 {
		switch d.mask {
		case whole:
			binary.BigEndian.PutUint16(payload[d.pictureAt:], ids.Picture)
		case wide:
			binary.BigEndian.PutUint16(payload[d.pictureAt:], ids.Picture|0x8000)
		default:
			payload[d.pictureAt] = byte(ids.Picture & narrow)
		}
	}
	if d.tl0At != 0 {
		payload[d.tl0At] = ids.TL0
	}
	if d.keyAt != 0 {
		payload[d.keyAt] = payload[d.keyAt]&0xe0 | ids.Key&0x1f
	}
}

// shift is what has to be added to the publisher's identifiers.
type shift struct{ ids, last IDs }

// begin makes the next identifiers follow the last ones.
func (s *shift) begin(d *Descriptor) {
	s.ids = IDs{Picture: s.last.Picture + 1 - d.Picture, TL0: s.last.TL0 + 1 - d.TL0, Key: s.last.Key + 1 - d.Key}
}

func (s *shift) apply(d *Descriptor) IDs {
	return IDs{Picture: (d.Picture + s.ids.Picture) & d.mask, TL0: d.TL0 + s.ids.TL0, Key: (d.Key + s.ids.Key) & 0x1f}
}

// sent remembers the identifiers of the newest packet, those that it has.
func (s *shift) sent(d *Descriptor, out IDs) {
	if d.pictureAt != 0 {
		s.last.Picture = out.Picture
	}
	if d.tl0At != 0 {
		s.last.TL0 = out.TL0
	}
	if d.keyAt != 0 {
		s.last.Key = out.Key
	}
}
