package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"lyceum/mesh/media"
)

const (
	// Protocol is the ALPN of links.
	Protocol = "cascade/1"
	// Version is the newest version of the protocol that this package speaks. Version 2 has shards and parity beside chunks.
	Version = 2
	// Oldest is the oldest version that it still speaks: a class goes on while a cluster goes from one release to the next.
	Oldest = 1
	// MaxMessage bounds the body of a message, in bytes.
	MaxMessage = 64 << 10
	// MaxName bounds the names of nodes, rooms and tracks, in bytes.
	MaxName = 256
	// MaxPath bounds the nodes between a track and its home.
	MaxPath = 16

	maxText  = 1024 // a codec's format line is the longest text
	maxNodes = 64   // nodes in a list
)

// ErrMalformed means that bytes are not what the protocol says.
var ErrMalformed = errors.New("malformed bytes")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBlock(b, block []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(block)))
	return append(b, block...)
}

// cursor reads fields one after the other. After the first that is not there or not sound, all read as zero and err says
// what was wrong.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = malformed("%s", what)
	}
	c.b = nil
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.fail("the end came too early")
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) octet() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) flag() bool { return c.octet() != 0 }

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail("a number is cut off or too large")
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail("a number is cut off or too large")
		return 0
	}
	c.b = c.b[n:]
	return v
}

// below reads a number that must not exceed limit.
func (c *cursor) below(limit uint64, what string) uint64 {
	v := c.uvarint()
	if v > limit {
		c.fail(what + " is too large")
		return 0
	}
	return v
}

func (c *cursor) fixed32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) fixed64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) text() string { return string(c.take(int(c.below(maxText, "a text")))) }

func (c *cursor) texts() []string {
	n := c.below(maxNodes, "a list")
	var list []string
	for range n {
		if c.err != nil {
			return nil
		}
		list = append(list, c.text())
	}
	return list
}

func (c *cursor) layer() media.Layer {
	return media.Layer(c.below(media.MaxLayers-1, "a layer"))
}

func (c *cursor) layers() media.LayerSet { return media.LayerSet(c.octet()) & media.AllLayers }

// block reads the fields of a block with read, and skips those that read left.
func (c *cursor) block(read func(*cursor)) {
	inner := cursor{b: c.take(int(c.below(MaxMessage, "a block")))}
	if c.err != nil {
		return
	}
	if read(&inner); inner.err != nil {
		c.err, c.b = inner.err, nil
	}
}
