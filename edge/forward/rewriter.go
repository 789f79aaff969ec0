package forward

import "lyceum/mesh/media"

// Sent is a packet as one subscriber got it.
type Sent struct {
	// Number is the packet's own number in its layer.
	Number uint64
	// Index is the RTP sequence number with its roll-overs in front.
	Index uint64
	// Timestamp is the RTP timestamp.
	Timestamp uint32
	// IDs are the identifiers of its frame; they mean nothing for codecs that have none.
	IDs IDs
	// Layer is where the packet came from.
	Layer media.Layer
	// Type is the payload type. It is for the caller to set.
	Type uint8
	// Level is the highest level that the subscriber gets of the frame. It is for the caller to set.
	Level uint8
}

// Sequence is the RTP sequence number.
func (s *Sent) Sequence() uint16 { return uint16(s.Index) }

// Rewriter gives the packets of one subscriber their sequence numbers, timestamps and VP8 identifiers. They continue over
// changes of layer and source and over replays, and a packet that is missing within a layer leaves a hole that it still
// fits when it comes late.
type Rewriter struct {
	next uint64 // the index after the highest one given
	run  run    // the present one
	// The one before, if its holes can still be filled: it is of the same layer and source. The receiver asks for what it
	// lacks whether or not a new run has begun.
	former run
	// What was left out of both runs; nil while nothing ever was.
	skips *skips

	time timeline
}

// run is a range of consecutive numbers of one layer and one source.
type run struct {
	first, head uint64 // the first number and the highest, 0 for no run
	base        uint64 // the index of the first
	skipped     uint64 // how many numbers were left out; of a former run alone
	live        uint32 // what is added to timestamps; of a former run alone
	ids         shift
}

// has reports whether a number lies in a run that has ended.
func (r *run) has(number uint64) bool { return number >= r.first && number <= r.head && r.head != 0 }

// NewRewriter makes a rewriter that starts at a sequence number and a timestamp, which are best random. The highest bit of
// the sequence number is cleared: a receiver that misses the first packets would count a roll-over wrong
// (RFC 3711, section 3.3.1).
func NewRewriter(sequence uint16, timestamp uint32) Rewriter {
	return Rewriter{next: uint64(sequence & 0x7fff), time: timeline{out: timestamp}}
}

// Begin starts a run at p, which follows what was sent last without a hole. The descriptor d is that of p, head is the
// publisher's newest timestamp in the layer of p, and rate is that of the codec's clock in Hz.
func (r *Rewriter) Begin(p *media.Packet, d *Descriptor, head, rate uint32, now int64) {
	r.former = run{}
	if used := r.next > r.run.base; used && r.time.steady(p) && p.Number > r.run.head {
		r.former, r.former.live = r.run, r.time.live
		if r.skips != nil {
			r.former.skipped = r.skips.n
			r.skips.advance(r.run.head, p.Number)
		}
	} else if r.skips != nil {
		*r.skips = skips{}
	}
	if r.skips != nil {
		r.skips.n = 0
	}
	r.run = run{first: p.Number, head: p.Number, base: r.next, ids: r.run.ids}
	r.run.ids.begin(d)
	r.time.begin(p, head, rate, now)
}

// Gap is how many packets are missing between the newest packet and one with this number.
func (r *Rewriter) Gap(number uint64) uint64 {
	if number <= r.run.head {
		return 0
	}
	return number - r.run.head - 1
}

// Due reports whether p may be sent now. Only a replay has to wait.
func (r *Rewriter) Due(p *media.Packet, now int64) bool { return r.time.due(p.Timestamp, now) }

// Rewrite fills in s for p, whose descriptor is d. It returns false for a packet from before the run that fits no hole of
// the one before. The same packet gets the same answer again.
func (r *Rewriter) Rewrite(p *media.Packet, d *Descriptor, now int64, s *Sent) bool {
	if f := &r.former; f.has(p.Number) {
		index, ok := r.index(f, p.Number, f.skipped)
		*s = Sent{Number: p.Number, Index: index, Timestamp: p.Timestamp + f.live, IDs: f.ids.apply(d), Layer: p.Layer}
		return ok
	}
	if r.run.head == 0 || p.Number < r.run.first {
		return false
	}
	index, ok := r.advance(p.Number)
	if !ok {
		return false
	}
	out, _ := r.time.at(p.Timestamp)
	*s = Sent{Number: p.Number, Index: index, Timestamp: out, IDs: r.run.ids.apply(d), Layer: p.Layer}
	if s.Index >= r.next {
		r.next, r.run.head = s.Index+1, p.Number
		r.run.ids.sent(d, s.IDs)
		r.time.sent(p, out, now)
	}
	return true
}

// Skip leaves a packet out of the run on purpose: it takes no sequence number, and leaves no hole. One that comes late has a
// hole already, which stays. The first packet of a run is never left out.
func (r *Rewriter) Skip(number uint64) {
	if number <= r.run.head || r.run.head == 0 {
		return
	}
	if r.skips == nil {
		r.skips = new(skips) // once for a subscriber
	}
	index, _ := r.advance(number)
	r.skips.add(number)
	r.next, r.run.head = index, number
}

// advance makes room for a number and returns its index.
func (r *Rewriter) advance(number uint64) (index uint64, ok bool) {
	if r.skips == nil {
		return r.run.base + number - r.run.first, true
	}
	if number > r.run.head {
		r.skips.advance(r.run.head, number)
	}
	return r.index(&r.run, number, r.skips.n)
}

// index is where a number of a run belongs of which so many were left out. It has no place if it was left out itself, or if
// what was left out since is forgotten.
func (r *Rewriter) index(of *run, number, skipped uint64) (index uint64, ok bool) {
	index = of.base + number - of.first
	if skipped == 0 {
		return index, true
	}
	if number > of.head {
		return index - skipped, true
	}
	if max(of.head, r.run.head)-number >= skipSpan || r.skips.has(number) {
		return 0, false
	}
	return index - (skipped - r.skips.after(number, of.head)), true
}

// Next is the index that comes after the highest one given.
func (r *Rewriter) Next() uint64 { return r.next }

// Report returns the moment of the newest packet as a sender report tells it: the publisher's wall clock if that is known,
// and the subscriber's timestamp. Sound and picture of one publisher then share a clock, whatever this node's clock says.
func (r *Rewriter) Report(c media.Clock) (ntp uint64, timestamp uint32) {
	t := &r.time
	micros := t.captured
	if c.Known() && t.rate != 0 {
		micros = c.Micros(t.in, t.rate)
	}
	return media.NTPFromMicros(micros), t.in + t.live
}
