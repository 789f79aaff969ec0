package fan

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
)

// The payload types that students offer, and by which their packets are told apart.
const (
	pictureType = 96
	repairType  = 97
	soundType   = 111
)

// ear counts what comes in at one student's address. Media is told by its header, which SRTP leaves in the clear, and is not
// decrypted unless pass says so.
type ear struct {
	// pass lets media through to the student's PeerConnection.
	pass atomic.Bool

	mu sync.Mutex
	// Guarded by mu.
	sound, picture   tally
	ssrc             [2]uint32 // of the sound and of the picture
	repairs, strange uint64    // packets of other payload types
	bytes            uint64    // of UDP payload with media
	last             [2]struct{ expected, packets uint64 }
}

// hear counts a UDP payload, and reports whether the PeerConnection is to have it.
func (e *ear) hear(b []byte) bool {
	if len(b) < 12 || b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 {
		return true // STUN, DTLS or RTCP (RFC 7983, RFC 5761)
	}
	sequence := uint16(b[2])<<8 | uint16(b[3])
	ssrc := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bytes += uint64(len(b))
	switch b[1] & 0x7f {
	case pictureType:
		e.ssrc[1] = ssrc
		e.picture.add(sequence)
	case soundType:
		e.ssrc[0] = ssrc
		e.sound.add(sequence)
	case repairType:
		e.repairs++
	default:
		e.strange++
	}
	return e.pass.Load()
}

// report is what a browser tells a server every second: a receiver report on both streams. It is nil while nothing came.
func (e *ear) report(own uint32) rtcp.Packet {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &rtcp.ReceiverReport{SSRC: own}
	for i, t := range []*tally{&e.sound, &e.picture} {
		if !t.began {
			continue
		}
		expected, packets := t.expected()-e.last[i].expected, t.packets-e.last[i].packets
		e.last[i].expected, e.last[i].packets = t.expected(), t.packets
		block := rtcp.ReceptionReport{
			SSRC: e.ssrc[i], LastSequenceNumber: uint32(t.high - 1<<16), TotalLost: uint32(t.expected() - t.packets),
		}
		if expected > packets { // RFC 3550, appendix A.3
			block.FractionLost = uint8(min(255, (expected-packets)*256/expected))
		}
		r.Reports = append(r.Reports, block)
	}
	if len(r.Reports) == 0 {
		return nil
	}
	return r
}

// reportTime is the time between two reports of a student.
const reportTime = time.Second
