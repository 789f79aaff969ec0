package origin

import (
	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// lookAV1 reads the aggregation header (AV1 RTP specification, section 4.4), which tells where a sequence of pictures begins
// with a keyframe; where the other pictures begin is told by their timestamps.
func lookAV1(p []byte) look {
	if len(p) < 2 {
		return look{empty: true}
	}
	begins := p[0]&0x08 != 0
	return look{starts: begins, key: begins}
}

// dependency is what a layer knows of the dependency descriptors of its packets.
type dependency struct {
	id        uint8 // of the header extension, 0 when it was not agreed
	structure media.Structure
	payload   [media.MaxPayload]byte // the present packet's behind its descriptor
}

// look takes in the descriptor of a packet, if it has one that can be carried, and returns the payload behind it.
func (d *dependency) look(p *rtp.Packet, saw *look) (payload []byte) {
	if d == nil || d.id == 0 || saw.empty {
		return p.Payload
	}
	b := p.GetExtension(d.id)
	if len(b) == 0 || len(b) > media.MaxDependency || 1+len(b)+len(p.Payload) > media.MaxPayload {
		return p.Payload
	}
	saw.described = true
	if says, ok := d.structure.Parse(b); ok {
		saw.starts, saw.sure = says.Begins && says.Level == 0, true
		saw.key = says.Fresh && says.Level == 0
		saw.level, saw.ends = says.Level, says.Ends
		if says.Fresh {
			saw.width, saw.height = d.structure.Width, d.structure.Height
		}
	}
	return media.JoinDescriptor(d.payload[:0], b, p.Payload)
}
