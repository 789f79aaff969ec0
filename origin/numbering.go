package origin

// window is how many packets of one layer can be out of order, in sequence numbers. At 6 Mbps it is about 1.7 s.
const window = 1024

// numbering gives the packets of one layer their 64-bit numbers and frame numbers, once and for all.
//
// Numbers follow the sequence numbers, so that a late packet finds the place that was kept for it. A packet without media
// (padding of a bandwidth probe) takes no number when it comes in order: students see no hole. When it comes late, the
// place kept for it stays a hole, since what follows has its number already.
//
// Frames are told apart by their timestamps. Where packets are missing, as many frame numbers are left out as frames could
// be missing, so that a late frame also finds a place; frame numbers only ever rise.
type numbering struct {
	begun  bool
	head   int64  // the highest extended sequence number
	number uint64 // the number given last, to head or to a place before it
	slots  [window]slot
	facts  [window]fact
	newest fact // the fact of the highest number that was seen
	old    int  // packets in a row that were too old
}

// anew is how many packets in a row must be too old to believe that the publisher began anew with lower numbers.
const anew = 32

// slot is what is known of a sequence number at or below head.
type slot struct {
	ext    int64
	number uint64
	seen   bool
}

// fact is what is known of a number that was given to a packet.
type fact struct {
	number    uint64
	timestamp uint32
	frame     uint64
	key       bool
}

// place is where a packet belongs.
type place struct {
	number, frame uint64
	ext           int64
	// follows says that the packet before it is known: certainly another frame, or certainly the same.
	follows, sameFrame bool
	// key says that a packet of the same frame was a keyframe's.
	key bool
}

// begin sets where numbers and frames start.
func (n *numbering) begin(number, frame uint64) {
	n.number = number - 1
	n.newest = fact{frame: frame - 1}
}

// verdict says what to do with a packet.
type verdict int

const (
	keep      verdict = iota
	drop              // it carries no media
	duplicate         // it came before
	tooOld            // its place is forgotten
)

// arrive finds the place of a packet. An empty packet carries no media.
func (n *numbering) arrive(seq uint16, timestamp uint32, empty bool) (place, verdict) {
	if !n.begun {
		n.begun = true
		n.head = int64(seq) + 1<<16 - 1 // so that what came just before is not negative
	}
	ext := n.head + int64(int16(seq-uint16(n.head)))
	s := &n.slots[ext%window]
	if ext > n.head {
		n.advance(ext, empty)
	} else {
		switch {
		case ext <= n.head-window || s.ext != ext:
			if n.old++; n.old < anew || ext > n.head-window {
				return place{}, tooOld
			}
			ext += 1 << 16 // the next time that this sequence number comes
			s = &n.slots[ext%window]
			n.advance(ext, empty)
		case s.seen:
			return place{}, duplicate
		}
	}
	n.old = 0
	s.seen = true
	if empty {
		return place{ext: ext}, drop
	}
	p := n.frame(s.number, timestamp)
	p.ext = ext
	return p, keep
}

// advance gives numbers to everything up to ext, but none to an empty packet.
func (n *numbering) advance(ext int64, empty bool) {
	first := n.head + 1
	if ext-n.head >= window {
		// A jump that no network makes: the publisher began anew. One hole tells that something is missing.
		first = ext
		n.number++
	}
	for x := first; x <= ext; x++ {
		if x == ext && empty {
			n.slots[x%window] = slot{ext: x}
			break
		}
		n.number++
		n.slots[x%window] = slot{ext: x, number: n.number}
	}
	n.head = ext
}

// frame finds the frame of a packet by its neighbours, and remembers it.
func (n *numbering) frame(number uint64, timestamp uint32) place {
	p := place{number: number}
	before, after := n.before(number), n.after(number)
	switch {
	case before.number != 0 && before.timestamp == timestamp:
		p.frame, p.key = before.frame, before.key
	case after.number != 0 && after.timestamp == timestamp:
		p.frame, p.key = after.frame, after.key
	case before.number == 0:
		p.frame = before.frame + 1 // the first packet of all
	default:
		p.frame = before.frame + (number - before.number)
	}
	p.follows = before.number != 0 && before.number == number-1
	p.sameFrame = before.number != 0 && before.timestamp == timestamp
	f := fact{number: number, timestamp: timestamp, frame: p.frame, key: p.key}
	n.facts[number%window] = f
	if number > n.newest.number {
		n.newest = f
	}
	return p
}

// before is the nearest known packet below a number. Without one its frame is the last of the time before.
func (n *numbering) before(number uint64) fact {
	if number > n.newest.number {
		return n.newest
	}
	for d := uint64(1); d < window && d < number; d++ {
		if f := n.facts[(number-d)%window]; f.number == number-d {
			return f
		}
	}
	return fact{frame: n.newest.frame - min(n.newest.frame, n.newest.number-number) - 1}
}

// after is the nearest known packet above a number.
func (n *numbering) after(number uint64) fact {
	for x := number + 1; x <= n.newest.number && x < number+window; x++ {
		if f := n.facts[x%window]; f.number == x {
			return f
		}
	}
	return fact{}
}

// markKey notes that the frame of a packet is a keyframe, for the packets of it that follow.
func (n *numbering) markKey(number uint64) {
	if f := &n.facts[number%window]; f.number == number {
		f.key = true
	}
	if n.newest.number == number {
		n.newest.key = true
	}
}
