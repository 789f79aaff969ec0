package wire

import (
	"encoding/binary"

	"lyceum/mesh/media"
)

const (
	// ShardHeader is what a shard adds to its chunk, in bytes.
	ShardHeader = 6
	// ParityHeader is what goes before the bytes of a parity shard.
	ParityHeader = 7
	// MaxShard bounds a chunk of one packet, in bytes; only such ones are protected by parity.
	MaxShard = maxHeader + media.MaxPayload + maxPacketHeader
)

// AppendShard appends a chunk in its place of a block. Version 2 of the protocol has shards and parity.
func AppendShard(b []byte, block uint32, index uint8, chunk []byte) []byte {
	b = append(b, KindShard)
	b = binary.BigEndian.AppendUint32(b, block)
	b = append(b, index)
	return append(b, chunk...)
}

// ParseShard reads what AppendShard wrote. The chunk lies in the same bytes and is yet to be parsed.
func ParseShard(b []byte) (block uint32, index uint8, chunk []byte, err error) {
	c := cursor{b: b}
	if c.octet() != KindShard {
		c.fail("this is no shard")
	}
	block, index = c.fixed32(), c.octet()
	return block, index, c.b, c.err
}

// Parity is a parity shard: with it, a chunk that is missing among those of its block can be made up for.
type Parity struct {
	// Block is the number of the block, Chunks how many chunks it has.
	Block  uint32
	Chunks uint8
	// Index is which of the block's parity shards this is. How many there are does not matter.
	Index uint8
	// Bytes are the parity itself.
	Bytes []byte
}

// AppendParity appends a parity shard to b.
func AppendParity(b []byte, p *Parity) []byte {
	b = append(b, KindParity)
	b = binary.BigEndian.AppendUint32(b, p.Block)
	b = append(b, p.Chunks, p.Index)
	return append(b, p.Bytes...)
}

// ParseParity reads what AppendParity wrote. Its Bytes lie in b.
func ParseParity(b []byte) (p Parity, err error) {
	c := cursor{b: b}
	if c.octet() != KindParity {
		c.fail("this is no parity")
	}
	p = Parity{Block: c.fixed32(), Chunks: c.octet(), Index: c.octet()}
	if c.err == nil && (p.Chunks == 0 || len(c.b) == 0) {
		c.fail("a parity shard belongs nowhere")
	}
	p.Bytes = c.b
	return p, c.err
}
