package forward

import "lyceum/mesh/media"

// Answers to a request for a packet are bounded: a network that duplicates requests, or a subscriber that repeats them,
// must not multiply traffic.
const (
	maxAnswers  = 4
	answerPause = 80 // milliseconds; a request sooner than this was sent before the answer could arrive
)

// Answer is what a History says about a packet that is asked for again.
type Answer uint8

const (
	// Resend means that the packet is to be sent again.
	Resend Answer = iota
	// Repeated means that it was sent again a moment ago, or often enough.
	Repeated
	// Gone means that it was never sent or is forgotten.
	Gone
)

// History remembers the last packets that were sent to one subscriber, so that requests can be answered and no packet is
// sent twice. The oldest is forgotten when it is full.
type History struct {
	entries []remembered
	newest  uint64
	begun   bool
}

// remembered is 32 bytes: there is a history for every subscriber.
type remembered struct {
	number, index uint64
	timestamp     uint32
	answered      uint32 // when it was sent again last, in milliseconds; 0 for never
	ids           IDs
	layer         media.Layer
	payloadType   uint8
	level         uint8
	sendings      uint8 // 0 marks an entry that was never used
}

// NewHistory makes a history of a number of packets.
func NewHistory(size int) *History { return &History{entries: make([]remembered, size)} }

// Add remembers a packet. It returns false if the packet was sent already or is older than the history reaches: it is then
// not to be sent.
func (h *History) Add(s *Sent) bool {
	size := uint64(len(h.entries))
	e := &h.entries[s.Index%size]
	if h.begun && (s.Index+size <= h.newest || e.sendings != 0 && e.index >= s.Index) {
		return false
	}
	*e = remembered{
		number: s.Number, index: s.Index, timestamp: s.Timestamp, ids: s.IDs, layer: s.Layer, payloadType: s.Type,
		level: s.Level, sendings: 1,
	}
	if !h.begun || s.Index > h.newest {
		h.newest, h.begun = s.Index, true
	}
	return true
}

// Answer looks for the packet with an RTP sequence number and counts the request.
func (h *History) Answer(sequence uint16, now int64) (Sent, Answer) {
	if !h.begun {
		return Sent{}, Gone
	}
	index := h.newest + uint64(int64(int16(sequence-uint16(h.newest))))
	e := &h.entries[index%uint64(len(h.entries))]
	at := uint32(now/1000) | 1 // never 0
	switch {
	case e.sendings == 0 || e.index != index:
		return Sent{}, Gone
	case e.sendings > maxAnswers, e.answered != 0 && at-e.answered < answerPause:
		return Sent{}, Repeated
	}
	e.sendings++
	e.answered = at
	return Sent{
		Number: e.number, Index: e.index, Timestamp: e.timestamp, IDs: e.ids, Layer: e.layer, Type: e.payloadType,
		Level: e.level,
	}, Resend
}
