package wire

import "encoding/binary"

// Stripes tells the child how many stripes the parent would like the link to have. It goes down; a child whose number of
// stripes is fixed does not heed it.
type Stripes struct {
	// Want is the number of stripes, numbered from 0. The parent writes nothing more to those beyond.
	Want uint64
	// Redial is a stripe that carries nothing any more and is to be dialled again; 0 for none, because the link ends
	// with its first stripe.
	Redial uint64
}

func (*Stripes) kind() uint64 { return kindStripes }

func (s *Stripes) appendBody(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, s.Want), s.Redial)
}

func (s *Stripes) parseBody(c *cursor) {
	s.Want = c.uvarint()
	s.Redial = c.uvarint()
}
