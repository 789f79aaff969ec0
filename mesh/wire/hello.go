package wire

import (
	"encoding/binary"
	"slices"
)

// Hello is the first message on each stripe, from the child to the parent. It joins the stripe to its link.
type Hello struct {
	// Versions are those that the child speaks.
	Versions []uint64
	// Node is the child.
	Node string
	// Link counts the links of the child's process. Of two to one parent the later replaces the earlier.
	Link uint64
	// Stripe is the stripe's place among the Stripes that the link may have. The messages of the link go on stripe 0. A
	// parent takes no more of them than it knows to use.
	Stripe, Stripes uint64
	// Boot is when the child's process started, in milliseconds since the Unix epoch. It tells a restarted node from
	// one that was only away.
	Boot uint64
}

const maxVersions = 16

func (*Hello) kind() uint64 { return kindHello }

func (h *Hello) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(h.Versions)))
	for _, v := range h.Versions {
		b = binary.AppendUvarint(b, v)
	}
	b = appendText(b, h.Node)
	b = binary.BigEndian.AppendUint64(b, h.Link)
	b = binary.AppendUvarint(b, h.Stripe)
	b = binary.AppendUvarint(b, h.Stripes)
	return binary.AppendUvarint(b, h.Boot)
}

func (h *Hello) parseBody(c *cursor) {
	for range c.below(maxVersions, "the list of versions") {
		h.Versions = append(h.Versions, c.uvarint())
	}
	h.Node = c.text()
	h.Link = c.fixed64()
	h.Stripe = c.uvarint()
	h.Stripes = c.uvarint()
	h.Boot = c.uvarint()
}

// Versions lists the versions from Oldest to the given one, the newest first. It is what a node puts into Hello.
func Versions(newest uint64) (list []uint64) {
	for v := min(newest, Version); v >= Oldest; v-- {
		list = append(list, v)
	}
	return list
}

// Agree returns the newest version that the child speaks and that is not newer than the given one, which is the newest
// that the parent speaks. Without one in common it returns 0 and false.
func (h *Hello) Agree(newest uint64) (version uint64, ok bool) {
	for _, v := range Versions(newest) {
		if slices.Contains(h.Versions, v) {
			return v, true
		}
	}
	return 0, false
}

// Welcome is the parent's answer to Hello.
type Welcome struct {
	// Version is the one that both will speak; 0 when there is none.
	Version uint64
	// Node is the parent.
	Node string
	// Boot is when the parent's process started, in milliseconds since the Unix epoch.
	Boot uint64
}

func (*Welcome) kind() uint64 { return kindWelcome }

func (w *Welcome) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, w.Version)
	b = appendText(b, w.Node)
	return binary.AppendUvarint(b, w.Boot)
}

func (w *Welcome) parseBody(c *cursor) {
	w.Version = c.uvarint()
	w.Node = c.text()
	w.Boot = c.uvarint()
}

// GoAway tells the child that the parent is about to leave.
type GoAway struct {
	// Deadline is when the parent will be gone, in milliseconds from now.
	Deadline uint64
	// Alternatives are nodes that may take its place.
	Alternatives []string
}

func (*GoAway) kind() uint64 { return kindGoAway }

func (g *GoAway) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, g.Deadline)
	return appendTexts(b, g.Alternatives)
}

func (g *GoAway) parseBody(c *cursor) {
	g.Deadline = c.uvarint()
	g.Alternatives = c.texts()
}
