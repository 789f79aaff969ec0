package relay

import "lyceum/mesh/media"

// The slots of a ring bound its memory and its reach. 2,048 video packets are 3 s of a 6 Mbps layer and at most 3 MB;
// 256 audio packets of 20 ms are 5 s.
const (
	videoSlots = 2048
	audioSlots = 256
)

// ring holds the newest packets of one layer. It finds them by number, and remembers in which order they arrived.
// The oldest packet is overwritten when the ring is full.
type ring struct {
	slots []media.Packet // packet n is in slot n % len(slots), if it is anywhere; Number is 0 in an empty slot
	order []uint64       // the a-th arrival's number is in order[a % len(order)]

	arrived uint64 // arrivals so far
	head    uint64 // the highest number seen, 0 before the first
	source  uint32 // the source of head
	former  uint32 // the one before

	key       uint64 // the first packet of the newest keyframe, 0 for none
	keySource uint32
	broken    bool // the parent has stopped sending the layer: what comes next joins on to nothing here
}

func newRing(kind media.Kind) *ring {
	n := videoSlots
	if kind == media.Audio {
		n = audioSlots
	}
	return &ring{slots: make([]media.Packet, n), order: make([]uint64, n)}
}

// outcome says what became of a packet that was written.
type outcome int

const (
	written outcome = iota
	duplicate
	late
	unknown
	outcomes
)

func (r *ring) slot(number uint64) *media.Packet { return &r.slots[number%uint64(len(r.slots))] }

// write takes a packet. Numbers go upwards from source to source by the clocks of the nodes that give them, so the present
// source of the track may count from below the one before when its node's clock is behind.
func (r *ring) write(p *media.Packet, present uint32) outcome {
	switch {
	case p.Number == 0:
		return late
	case p.Source == r.source || r.head == 0:
	case p.Source == present && p.Number <= r.head:
		r.forget()
		r.head = 0
	case p.Source == r.former && p.Number > r.head:
		return late // it counts from above its successor
	}
	if p.Number+uint64(len(r.slots)) <= r.head {
		return late
	}
	s := r.slot(p.Number)
	if s.Number == p.Number {
		return duplicate
	}
	if s.Number > p.Number {
		return late
	}
	p.Clone(s)
	r.order[r.arrived%uint64(len(r.order))] = p.Number
	r.arrived++
	if p.Number > r.head {
		if p.Source != r.source {
			r.former = r.source
		}
		r.head, r.source = p.Number, p.Source
	}
	if p.Flags.Has(media.Key|media.First) && p.Number > r.key {
		r.key, r.keySource = p.Number, p.Source
	}
	return written
}

// packet copies a packet that is still in the ring.
func (r *ring) packet(number uint64, p *media.Packet) bool {
	s := r.slot(number)
	if number == 0 || s.Number != number {
		return false
	}
	s.Clone(p)
	return true
}

// forget empties the ring, so that a parent which sends the layer anew, from its newest keyframe on, repeats nothing. The
// number of the newest packet stays known.
func (r *ring) forget() {
	for i := range r.slots {
		r.slots[i].Number = 0
	}
	r.key, r.broken = 0, false
}

// keyframe is where a new reader starts: the newest keyframe, if the source has not changed since, the ring still reaches
// back to it, and what came since is not broken off.
func (r *ring) keyframe() (uint64, bool) {
	if r.key == 0 || r.broken || r.keySource != r.source || r.head-r.key >= uint64(len(r.slots)) {
		return 0, false
	}
	return r.key, true
}

// cursor is how far one reader is in one ring. It first replays a range by number, then follows the arrivals.
type cursor struct {
	replay, end uint64 // numbers still to be replayed, [replay, end)
	next        uint64 // the arrival to be read next
}

// start places a cursor at the newest keyframe, or at the next arrival when there is none in reach.
func (r *ring) start(live bool) cursor {
	c := cursor{next: r.arrived}
	if k, ok := r.keyframe(); ok && live {
		c.replay, c.end = k, r.head+1
	}
	return c
}

// read moves a cursor to the next packet. It reports whether the cursor had to skip because its reader was too slow.
func (r *ring) read(c *cursor, live bool, p *media.Packet) (ok, overtaken bool) {
	if r.arrived-c.next > uint64(len(r.order)) {
		*c = r.start(live)
		overtaken = true
	}
	for c.replay < c.end {
		c.replay++
		if r.packet(c.replay-1, p) {
			return true, overtaken
		}
	}
	for c.next < r.arrived {
		number := r.order[c.next%uint64(len(r.order))]
		c.next++
		if r.packet(number, p) {
			return true, overtaken
		}
	}
	return false, overtaken
}
