package media

import "math/bits"

// Dependency is what a dependency descriptor says of a packet (AV1 RTP specification, appendix A).
type Dependency struct {
	// Begins and Ends say that the packet is the first and the last of its level in the picture.
	Begins, Ends bool
	// Frame counts the frames of all levels, in 16 bits. It stands at FrameAt in each descriptor.
	Frame uint16
	// Level is the spatial layer.
	Level uint8
	// Fresh says that the descriptor brought a structure: a keyframe begins.
	Fresh bool
}

const (
	// FrameAt is where the number of the frame stands in a dependency descriptor, two bytes in network order.
	FrameAt = 1
	// MaxDependency is the largest dependency descriptor, in bytes: what an RTP header extension can hold (RFC 8285).
	MaxDependency = 255

	maxTemplates = 64
)

// Structure is what the dependency descriptors of a stream refer to: it comes with a keyframe and stays until the next. The
// zero value knows nothing.
type Structure struct {
	// Width and Height are those of the largest level, in pixels; 0 if the structure does not say.
	Width, Height uint16

	offset uint8
	count  uint8
	level  [maxTemplates]uint8
}

// Parse reads a descriptor and takes in the structure that it may bring. It returns false for one that is cut short, or that
// refers to a structure that never came; the structure is then as it was.
func (s *Structure) Parse(b []byte) (Dependency, bool) {
	if len(b) < 3 || len(b) > MaxDependency {
		return Dependency{}, false
	}
	d := Dependency{Begins: b[0]&0x80 != 0, Ends: b[0]&0x40 != 0, Frame: uint16(b[1])<<8 | uint16(b[2])}
	template := b[0] & 0x3f
	if len(b) > 3 {
		r := bitReader{b: b, at: 24}
		fresh := r.bit()
		r.take(4) // which of the definitions below are the packet's own: all of them follow the structure
		if fresh {
			var n Structure
			if !n.read(&r) {
				return Dependency{}, false
			}
			*s, d.Fresh = n, true
		}
	}
	index := (template - s.offset) & (maxTemplates - 1)
	if index >= s.count {
		return Dependency{}, false
	}
	d.Level = s.level[index]
	return d, true
}

// read reads a structure: of its templates the levels alone are kept.
func (s *Structure) read(r *bitReader) bool {
	s.offset = uint8(r.take(6))
	targets := int(r.take(5)) + 1
	level := uint8(0)
	for more := true; more; {
		if s.count == maxTemplates {
			return false
		}
		s.level[s.count] = level
		s.count++
		switch r.take(2) { // of the next template
		case 2:
			level++
		case 3:
			more = false
		}
	}
	if level > MaxLevel {
		return false
	}
	r.skip(2 * int(s.count) * targets) // what each template is to each target
	for range s.count {
		for r.bit() { // the frames that it refers to
			r.skip(4)
		}
	}
	if chains := r.below(targets + 1); chains > 0 {
		for range targets {
			r.below(chains)
		}
		r.skip(4 * int(s.count) * chains)
	}
	if r.bit() {
		for range level + 1 {
			s.Width, s.Height = uint16(r.take(16)+1), uint16(r.take(16)+1)
		}
	}
	return !r.short
}

// bitReader reads bits, the highest of a byte first. After the end it reads zeros and is short.
type bitReader struct {
	b     []byte
	at    int
	short bool
}

func (r *bitReader) bit() bool { return r.take(1) != 0 }

func (r *bitReader) take(n int) (v uint32) {
	for range n {
		v <<= 1
		if r.at >= 8*len(r.b) {
			r.short = true
			continue
		}
		v |= uint32(r.b[r.at/8]>>(7-r.at%8)) & 1
		r.at++
	}
	return v
}

func (r *bitReader) skip(n int) {
	if r.at += n; r.at > 8*len(r.b) {
		r.at, r.short = 8*len(r.b), true
	}
}

// below reads a number below n in as few bits as it needs ("ns" in the specification).
func (r *bitReader) below(n int) int {
	w := bits.Len(uint(n))
	m := 1<<w - n
	v := int(r.take(w - 1))
	if v < m {
		return v
	}
	return v<<1 - m + int(r.take(1))
}

// JoinDescriptor appends to b a payload behind its dependency descriptor, of at most MaxDependency bytes: one byte for its
// length, the descriptor, the payload. Packets are carried in this form, because they have no room for header extensions and
// because everything that copies, stores or protects a payload then needs to know nothing of it.
func JoinDescriptor(b, descriptor, payload []byte) []byte {
	b = append(b, byte(len(descriptor)))
	b = append(b, descriptor...)
	return append(b, payload...)
}

// SplitDescriptor undoes JoinDescriptor. A payload that cannot be split has no descriptor.
func SplitDescriptor(b []byte) (descriptor, payload []byte) {
	if len(b) == 0 || int(b[0]) >= len(b) {
		return nil, b
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:]
}
