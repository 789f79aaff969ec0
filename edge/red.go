package edge

import (
	"encoding/binary"

	"lyceum/mesh/media"
)

// The limits of a block of redundant sound (RFC 2198, section 3): its distance in ticks, and its size in bytes.
const (
	maxDistance = 1<<14 - 1
	maxBlock    = 1<<10 - 1
)

// redundant returns a packet of sound with the one before it in front, for players that asked for that: who misses one packet has
// it with the next, without a round trip. What is not in the ring at that moment, or would make
// the packet larger than networks carry, is left out. Such packets are not sent again when they are asked for: they would not be
// the same.
func (l *leg) redundant(p *pump, pkt *media.Packet) *media.Packet {
	c := &l.carrier
	payload := c.Payload[:0]
	*c = *pkt
	before := &p.newest
	distance := uint32(0)
	if p.track.Packet(pkt.Layer, pkt.Number-1, before) && before.Source == pkt.Source {
		distance = pkt.Timestamp - before.Timestamp
	}
	if distance > 0 && distance <= maxDistance && len(before.Payload) <= maxBlock && len(before.Payload)+len(pkt.Payload) <= trainPacket {
		payload = binary.BigEndian.AppendUint32(payload, 1<<31|uint32(l.codec.payload)<<24|distance<<10|uint32(len(before.Payload)))
		payload = append(payload, l.codec.payload)
		payload = append(payload, before.Payload...)
	} else {
		payload = append(payload, l.codec.payload)
	}
	c.Payload = append(payload, pkt.Payload...)
	return c
}
