package fan

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// ErrTooLarge means that a packet does not fit.
var ErrTooLarge = errors.New("the packet is too large")

const (
	headerSize = 12
	tagSize    = 16 // the largest of all profiles

	oneByte = 0xbede // the forms of extensions (RFC 8285, sections 4.2 and 4.3)
	twoByte = 0x1000
	// maxOneByte is what an extension can hold in the one-byte form.
	maxOneByte = 16
)

// Header is the RTP header of a packet.
type Header struct {
	SSRC, Timestamp uint32
	// Index is the sequence number with its roll-overs in front (RFC 3711, section 3.3.1). What came before the first packet
	// is not known to a receiver, so that the first one is below 2^16.
	Index  uint64
	Type   uint8
	Marker bool
	// StampID is the id of the extension that carries Stamp, 1 to 14; 0 sends none.
	StampID uint8
	Stamp   uint64
	// TimeID is the id of the extension that carries the lower 24 bits of Time, 1 to 14; 0 sends none.
	TimeID uint8
	Time   uint32
	// CountID is the id of the extension that carries Count, the packet's number among those whose arrival the receiver reports
	// (transport-wide congestion control), 1 to 14; 0 sends none.
	CountID uint8
	Count   uint16
	// RawID is the id of the extension that carries Raw, of 1 to 255 bytes; 0 sends none. With more than 16 bytes all
	// extensions of the packet have the two-byte form, which its receiver must have agreed to.
	RawID uint8
	Raw   []byte
	// Padding is how many bytes follow the payload, so that packets have one size (RFC 3550, section 5.1).
	Padding uint8
}

// Stream seals the packets of one track for one student, and their repair. It is for one goroutine at a time.
//
// No SSRC and index may be sent with two contents. The indices of an SSRC go upwards; one may be late by less than 2^15.
type Stream struct {
	// Set by Keys.Streams, never changed.
	aead    cipher.AEAD // of GCM; it has no state and is shared by the streams of one student
	salt    [saltSize]byte
	context *srtp.Context // of other profiles

	iv      [saltSize]byte // of the present packet
	scratch rtp.Header
}

// Send seals a packet and puts it in a batch, which must belong to the fan that made the path.
func (s *Stream) Send(b *Batch, p *Path, h *Header, payload []byte) error {
	if headerSize+h.extensions()+len(payload)+int(h.Padding)+tagSize > MaxPacket {
		return fmt.Errorf("send %d bytes: %w", len(payload), ErrTooLarge)
	}
	q := b.queue(p)
	room := q.room()
	head := h.write(room)
	n := head + copy(room[head:], payload)
	if h.Padding > 0 {
		end := n + int(h.Padding)
		clear(room[n:end])
		room[end-1] = h.Padding
		n = end
	}
	if s.aead != nil {
		nonce(&s.iv, &s.salt, h.SSRC, h.Index)
		q.add(p, head+len(s.aead.Seal(room[head:head], s.iv[:], room[head:n], room[:head])))
		return nil
	}
	sealed, err := s.context.EncryptRTP(room[:0], room[:n], &s.scratch)
	if err != nil {
		return fmt.Errorf("seal a packet: %w", err)
	}
	q.add(p, len(sealed))
	return nil
}

// write writes the header and returns its size.
func (h *Header) write(b []byte) int {
	b[0], b[1] = 2<<6, h.Type&0x7f
	if h.Padding > 0 {
		b[0] |= 1 << 5
	}
	if h.Marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], uint16(h.Index))
	binary.BigEndian.PutUint32(b[4:], h.Timestamp)
	binary.BigEndian.PutUint32(b[8:], h.SSRC)
	if h.StampID|h.TimeID|h.CountID|h.RawID == 0 {
		return headerSize
	}
	b[0] |= 1 << 4
	n := headerSize + 4
	if h.TimeID != 0 {
		n = h.begin(b, n, h.TimeID, 3)
		b[n], b[n+1], b[n+2] = byte(h.Time>>16), byte(h.Time>>8), byte(h.Time)
		n += 3
	}
	if h.CountID != 0 {
		n = h.begin(b, n, h.CountID, 2)
		binary.BigEndian.PutUint16(b[n:], h.Count)
		n += 2
	}
	if h.StampID != 0 {
		n = h.begin(b, n, h.StampID, 8)
		binary.BigEndian.PutUint64(b[n:], h.Stamp)
		n += 8
	}
	if h.RawID != 0 {
		n = h.begin(b, n, h.RawID, len(h.Raw))
		n += copy(b[n:], h.Raw)
	}
	for ; n%4 != 0; n++ {
		b[n] = 0
	}
	form := uint16(oneByte)
	if h.long() {
		form = twoByte
	}
	binary.BigEndian.PutUint16(b[headerSize:], form)
	binary.BigEndian.PutUint16(b[headerSize+2:], uint16(n-headerSize-4)/4)
	return n
}

// long reports whether the extensions have the two-byte form.
func (h *Header) long() bool { return h.RawID != 0 && len(h.Raw) > maxOneByte }

// begin writes what stands before an extension of size bytes and returns where it begins.
func (h *Header) begin(b []byte, n int, id uint8, size int) int {
	if h.long() {
		b[n], b[n+1] = id, byte(size)
		return n + 2
	}
	b[n] = id<<4 | byte(size-1)
	return n + 1
}

// extensions is the most that the extensions need, in bytes.
func (h *Header) extensions() int {
	const fixed = 20 // time, count and stamp, 4 + 1 + 3 + 1 + 2 + 1 + 8
	if h.RawID == 0 {
		return fixed
	}
	const long = 3 // what the two-byte form adds to these
	return fixed + long + 2 + len(h.Raw) + 3
}
