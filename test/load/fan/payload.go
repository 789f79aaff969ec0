package fan

import "encoding/binary"

// mark is what every payload of the publisher says of itself, so that a student who decrypts it can tell whether it is whole
// and whether a frame is.
type mark struct {
	number uint64 // of the packet within its stream, from 0
	frame  uint32 // of the frame within its stream, from 0
	index  uint8  // of the packet within the frame
	of     uint8  // packets in the frame
	key    bool   // the frame is a keyframe
}

const (
	descriptorSize = 4  // VP8 payload descriptor with a picture identifier of 15 bits (RFC 7741, section 4.2)
	frameHead      = 10 // VP8 frame header of a keyframe (RFC 6386, section 9.1)
	markSize       = 8 + 4 + 1 + 1 + 1
	// leastPayload is the shortest payload that holds all of them.
	leastPayload = descriptorSize + frameHead + markSize
)

// videoPayload writes a packet of VP8 of the given size: the descriptor, the head of the frame, the mark, then bytes that
// follow from the number.
func videoPayload(b []byte, size int, m mark) []byte {
	b = append(b[:0], 0x80, 0x80, 0x80|byte(m.frame>>8)&0x7f, byte(m.frame))
	if m.index == 0 {
		b[0] |= 0x10 // the start of the first partition
	}
	if m.key {
		b = append(b, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01) // 640x360
	} else {
		b = append(b, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	return fill(m.append(b), size, m.number)
}

// soundPayload writes a packet that stands for one of Opus.
func soundPayload(b []byte, size int, m mark) []byte {
	return fill(m.append(b[:0]), size, m.number)
}

func (m mark) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.number)
	b = binary.BigEndian.AppendUint32(b, m.frame)
	key := byte(0)
	if m.key {
		key = 1
	}
	return append(b, m.index, m.of, key)
}

func fill(b []byte, size int, number uint64) []byte {
	for len(b) < size {
		b = append(b, byte(number)+byte(len(b)))
	}
	return b
}

// readMark reads what a payload says of itself. ok is false when a byte of it is not as it was written.
func readMark(payload []byte, video bool) (m mark, ok bool) {
	at := 0
	if video {
		at = descriptorSize + frameHead
	}
	if len(payload) < at+markSize {
		return mark{}, false
	}
	b := payload[at:]
	m = mark{
		number: binary.BigEndian.Uint64(b), frame: binary.BigEndian.Uint32(b[8:]), index: b[12], of: b[13], key: b[14] == 1,
	}
	for i := at + markSize; i < len(payload); i++ {
		if payload[i] != byte(m.number)+byte(i) {
			return m, false
		}
	}
	return m, true
}

// picture finds the first keyframe of which every packet has come.
type picture struct {
	frame uint32
	seen  [4]uint64 // bits, one for each packet of the frame
	count int
}

// add takes a packet and reports whether a keyframe is whole with it.
func (p *picture) add(m mark) bool {
	if !m.key {
		return false
	}
	if p.count == 0 || m.frame > p.frame {
		*p = picture{frame: m.frame}
	}
	if bit := uint64(1) << (m.index % 64); m.frame == p.frame && p.seen[m.index/64]&bit == 0 {
		p.seen[m.index/64] |= bit
		p.count++
	}
	return p.count > 0 && p.count == int(m.of)
}
