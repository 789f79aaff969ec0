package forward

import (
	"encoding/binary"
	"strings"

	"lyceum/mesh/media"
)

// Format is how a payload says which frame it belongs to. The zero value is one that says nothing of use here.
type Format uint8

const (
	// FormatVP8 has a payload descriptor with picture ids.
	FormatVP8 Format = 1 + iota
	// FormatVP9 has another one.
	FormatVP9
	// FormatAV1 has frame numbers in the dependency descriptor that comes with a packet.
	FormatAV1
)

// FormatOf is the format of a codec, which is named as in media.Codec.
func FormatOf(mimeType string) Format {
	switch strings.ToLower(mimeType) {
	case "video/vp8":
		return FormatVP8
	case "video/vp9":
		return FormatVP9
	case "video/av1":
		return FormatAV1
	}
	return 0
}

// Parse reads the identifiers of a packet. It returns the zero value where there are none.
func (f Format) Parse(p *media.Packet) Descriptor {
	switch {
	case f == FormatVP8:
		return ParseVP8(p.Payload)
	case f == FormatVP9:
		d, ok := media.ParseVP9(p.Payload)
		if !ok {
			return Descriptor{}
		}
		v := Descriptor{IDs: IDs{Picture: d.Picture, TL0: d.TL0}, pictureAt: d.PictureAt, tl0At: d.TL0At, mask: narrow}
		if d.Wide {
			v.mask = wide
		}
		return v
	case f == FormatAV1 && p.Flags.Has(media.Described):
		// The number is the first thing behind the flags; the byte before is the descriptor's length.
		const at = 1 + media.FrameAt
		if len(p.Payload) < at+2 {
			return Descriptor{}
		}
		return Descriptor{IDs: IDs{Picture: binary.BigEndian.Uint16(p.Payload[at:])}, pictureAt: at, mask: whole}
	}
	return Descriptor{}
}
