package forward

import "lyceum/mesh/media"

// Answers to a request for a packet are bounded: a network that duplicates requests, or a subscriber that repeats them,
// must not multiply traffic.
const (
	maxAnswers  = 4
	answerPause = 80 // milliseconds, and no less than a round trip: a request sooner was sent before the answer could arrive
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
	// Held means that it could be sent again if the network had room for it. A History never says so.
	Held
)

// History remembers the last packets that were sent to one subscriber, so that requests can be answered and no packet is
// sent twice. The oldest is forgotten when it is full.
type History struct {
	entries []remembered
	known   []stretch
	newest  uint64
	present uint8 // the stretch that was added to last
	begun   bool
}

// remembered is a packet. It is 16 bytes: there is a history for every subscriber, and four packets share a line of the cache.
type remembered struct {
	index     uint32 // the low bits
	timestamp uint32
	ids       IDs
	answered  uint16 // when it was sent again last, in milliseconds; 0 for never
	stretch   uint8
	sendings  uint8 // 0 marks an entry that was never used
}

// stretches bounds the stretches that a history knows. A subscriber has a new one with each change of layer and each replay,
// which are seconds apart; but one that gets some levels of a stream (SVC) has one with each frame of which a level is left out,
// and can ask for what it missed in the last few seconds.
const stretches = 128

// stretch is packets whose numbers and indices go up together.
type stretch struct {
	number, index uint64 // of its first packet
	last          uint64 // the highest index
	layer         media.Layer
	payloadType   uint8
	level         uint8
}

// fits reports whether a packet belongs to a stretch.
func (p *stretch) fits(s *Sent) bool {
	return s.Number-s.Index == p.number-p.index && s.Index >= p.index && s.Layer == p.layer && s.Type == p.payloadType &&
		s.Level == p.level
}

// NewHistory makes a history of a number of packets.
func NewHistory(size int) *History { return &History{entries: make([]remembered, size)} }

// Add remembers a packet. It returns false if the packet was sent already or is older than the history reaches: it is then
// not to be sent.
func (h *History) Add(s *Sent) bool {
	size := uint64(len(h.entries))
	e := &h.entries[s.Index%size]
	if h.begun && (s.Index+size <= h.newest || e.sendings != 0 && int32(e.index-uint32(s.Index)) >= 0) {
		return false
	}
	*e = remembered{index: uint32(s.Index), timestamp: s.Timestamp, ids: s.IDs, stretch: h.stretch(s), sendings: 1}
	if !h.begun || s.Index > h.newest {
		h.newest, h.begun = s.Index, true
	}
	return true
}

// stretch finds the stretch of a packet, or begins one in place of the oldest.
func (h *History) stretch(s *Sent) uint8 {
	if len(h.known) > 0 {
		if p := &h.known[h.present]; p.fits(s) {
			p.last = max(p.last, s.Index)
			return h.present
		}
	}
	oldest := 0
	for i := range h.known {
		p := &h.known[i]
		if p.fits(s) {
			p.last = max(p.last, s.Index)
			return uint8(i)
		}
		if p.last < h.known[oldest].last {
			oldest = i
		}
	}
	if len(h.known) < stretches {
		oldest = len(h.known)
		h.known = append(h.known, stretch{}) // some more memory now and then, up to the bound
	}
	h.present = uint8(oldest)
	h.known[oldest] = stretch{number: s.Number, index: s.Index, last: s.Index, layer: s.Layer, payloadType: s.Type, level: s.Level}
	return h.present
}

// find returns what is remembered of the packet with an index, nil for nothing.
func (h *History) find(index uint64) *remembered {
	e := &h.entries[index%uint64(len(h.entries))]
	if e.sendings == 0 || e.index != uint32(index) {
		return nil // never sent
	}
	if p := &h.known[e.stretch]; index < p.index || index > p.last {
		return nil // its stretch is forgotten
	}
	return e
}

// sent tells how the packet with an index was sent.
func (h *History) sent(index uint64, e *remembered) Sent {
	p := &h.known[e.stretch]
	return Sent{
		Number: p.number + index - p.index, Index: index, Timestamp: e.timestamp, IDs: e.ids, Layer: p.layer, Type: p.payloadType,
		Level: p.level,
	}
}

// Answer looks for the packet with an RTP sequence number and counts the request. Trip is the round trip as last seen, in
// microseconds, 0 for unknown.
func (h *History) Answer(sequence uint16, trip, now int64) (Sent, Answer) {
	if !h.begun {
		return Sent{}, Gone
	}
	index := h.newest + uint64(int64(int16(sequence-uint16(h.newest))))
	e := h.find(index)
	if e == nil {
		return Sent{}, Gone
	}
	at := uint16(now/1000) | 1 // never 0
	if e.sendings > maxAnswers || e.answered != 0 && int64(at-e.answered) < max(answerPause, trip/1000) {
		return Sent{}, Repeated
	}
	e.sendings++
	e.answered = at
	return h.sent(index, e), Resend
}

// Recent returns the packet that was sent so many packets before the newest, if it is remembered.
func (h *History) Recent(back int) (Sent, bool) {
	if !h.begun || back < 0 || back >= len(h.entries) || uint64(back) > h.newest {
		return Sent{}, false
	}
	index := h.newest - uint64(back)
	e := h.find(index)
	if e == nil {
		return Sent{}, false
	}
	return h.sent(index, e), true
}
