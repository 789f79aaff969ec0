package wire

import (
	"encoding/binary"

	"lyceum/mesh/media"
)

const (
	// ChunkPackets is the most packets of a chunk. Eight full packets are some 10 KB: small enough for a lost one to
	// hold up little and for a keyframe to spread over all stripes, large enough to make the cost of a stream small.
	ChunkPackets = 8
	// MaxChunk bounds the bytes of a chunk.
	MaxChunk = maxHeader + ChunkPackets*(media.MaxPayload+maxPacketHeader)

	maxHeader       = 64
	maxPacketHeader = 32
)

// The kinds of chunks and datagrams, in their first byte. One that is not known is dropped.
const (
	// KindChunk begins a chunk.
	KindChunk = 1
	// KindHeartbeat begins a heartbeat.
	KindHeartbeat = 2
	// KindShard begins a chunk that parity protects.
	KindShard = 3
	// KindParity begins a parity shard.
	KindParity = 4
)

// Packer writes chunks: Begin with a packet, Append more while Takes says so.
type Packer struct {
	first    media.Packet // without its payload
	next     uint64       // the number that needs no more than a zero
	captured int64
	n        int
}

// Begin appends a chunk of one packet to b.
func (w *Packer) Begin(b []byte, sub uint64, p *media.Packet) []byte {
	*w = Packer{first: *p, next: p.Number, captured: p.Captured}
	w.first.Payload = nil
	b = append(b, KindChunk, 0)
	start := len(b)
	b = binary.AppendUvarint(b, sub)
	b = append(b, byte(p.Layer))
	b = binary.BigEndian.AppendUint32(b, p.Source)
	b = binary.BigEndian.AppendUint64(b, p.Number)
	b = binary.BigEndian.AppendUint64(b, p.Frame)
	b = binary.BigEndian.AppendUint32(b, p.Timestamp)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Captured))
	b[start-1] = byte(len(b) - start)
	return w.Append(b, p)
}

// Takes reports whether p may join the chunk: a packet of the same frame while there is room.
func (w *Packer) Takes(p *media.Packet) bool {
	f := &w.first
	return w.n < ChunkPackets && p.Frame == f.Frame && p.Source == f.Source && p.Layer == f.Layer && p.Timestamp == f.Timestamp
}

// Full reports whether no more packet fits.
func (w *Packer) Full() bool { return w.n >= ChunkPackets }

// Packets is the number of packets in the chunk.
func (w *Packer) Packets() int { return w.n }

// Append appends another packet to the chunk.
func (w *Packer) Append(b []byte, p *media.Packet) []byte {
	b = append(b, byte(p.Flags))
	b = binary.AppendVarint(b, int64(p.Number-w.next))
	b = binary.AppendVarint(b, p.Captured-w.captured)
	b = binary.AppendUvarint(b, uint64(len(p.Payload)))
	b = append(b, p.Payload...)
	w.next, w.captured = p.Number+1, p.Captured
	w.n++
	return b
}

// Chunk is a chunk being read.
type Chunk struct {
	// Sub is the subscription that the packets belong to.
	Sub uint64
	// Layer and Source are those of all packets.
	Layer  media.Layer
	Source uint32

	packet media.Packet // the last that was read
	rest   cursor
	n      int
}

// ParseChunk reads the header of a chunk. The packets are read by Next from the same bytes.
func ParseChunk(b []byte) (Chunk, error) {
	c := cursor{b: b}
	if c.octet() != KindChunk {
		c.fail("this is no chunk")
	}
	head := cursor{b: c.take(int(c.octet()))}
	ch := Chunk{Sub: head.uvarint(), Layer: media.Layer(head.octet()), Source: head.fixed32()}
	ch.packet = media.Packet{
		Layer: ch.Layer, Source: ch.Source,
		Number: head.fixed64() - 1, Frame: head.fixed64(), Timestamp: head.fixed32(), Captured: int64(head.fixed64()),
	}
	if c.err == nil {
		c.err = head.err
	}
	if c.err == nil && ch.Layer >= media.MaxLayers {
		c.fail("a layer is too large")
	}
	ch.rest = c
	return ch, c.err
}

// Next reads the next packet into p, whose payload then lies in the chunk's bytes. It returns false at the end, and an
// error if the bytes end within a packet; the packets before it are sound.
func (ch *Chunk) Next(p *media.Packet) (bool, error) {
	c := &ch.rest
	if c.err != nil || len(c.b) == 0 {
		return false, c.err
	}
	if ch.n++; ch.n > ChunkPackets {
		c.fail("a chunk has too many packets")
		return false, c.err
	}
	flags := media.Flags(c.octet())
	number, captured := c.varint(), c.varint()
	payload := c.take(int(c.below(media.MaxPayload, "a payload")))
	if c.err != nil {
		return false, c.err
	}
	ch.packet.Flags = flags
	ch.packet.Number += uint64(number) + 1
	ch.packet.Captured += captured
	*p = ch.packet
	p.Payload = payload
	return true, nil
}
