package client

import "time"

const (
	// spanWindow is how many packets back a late or doubled one is recognised: more than ten seconds of 5 Mbit/s.
	spanWindow = 1 << 13
	// spanHoles bounds the missing packets that are asked for; when more are missing the newest are not asked for, they
	// stay lost, and a keyframe has to help.
	spanHoles = 512
	// holeRest is how long a missing packet may still come by itself, out of order.
	holeRest = 20 * time.Millisecond
	// holeAgain is how long after asking for a missing packet it is asked for again.
	holeAgain = 80 * time.Millisecond
	// holeEnd is how long after it was missed a packet is worth asking for.
	holeEnd = 2 * time.Second
)

// span counts the packets of one source by their sequence numbers: what came, what came twice, and what never came. It
// loses nothing: every number between the lowest and the highest seen is either received or lost.
type span struct {
	// low and high are the extended sequence numbers between which packets are counted.
	low, high uint64
	// came is how many of them came.
	came uint64
	// received and doubled count over all numberings; closed is what was lost in those that ended.
	received, doubled, closed uint64
	// anew is the sequence number with which a packet would prove, by following one that was far too late, that the
	// source numbers anew; it means nothing before such a packet.
	anew     uint16
	suspects bool
	started  bool
	frozen   bool
	have     [spanWindow / 64]uint64
	holes    []hole
}

// hole is a missing packet that is asked for.
type hole struct {
	number uint64
	missed time.Time
	asked  time.Time
}

// add counts a packet and reports its extended number, and whether it is new.
func (s *span) add(seq uint16, now time.Time) (number uint64, fresh bool) {
	if !s.started {
		s.begin(seq)
		return s.high, true
	}
	number = s.high + uint64(int64(int16(seq-uint16(s.high))))
	switch {
	case number > s.high:
		if s.frozen {
			return number, false
		}
		s.rise(number, now)
		return number, true
	case s.high-number >= spanWindow:
		// Too late to know whether it came before.
		if s.suspects && seq == s.anew && !s.frozen {
			s.closed += s.spread() - s.came
			s.begin(seq)
			return s.high, true
		}
		s.suspects, s.anew = true, seq+1
		s.doubled++
		return number, false
	case s.has(number):
		s.doubled++
		return number, false
	}
	s.low = min(s.low, number)
	s.take(number)
	s.fill(number)
	return number, true
}

// begin starts a numbering. Extended numbers start high enough for the packets that the first one has overtaken.
func (s *span) begin(seq uint16) {
	clear(s.have[:])
	s.holes = s.holes[:0]
	s.started, s.suspects, s.came = true, false, 0
	s.low = 1<<32 | uint64(seq)
	s.high = s.low
	s.take(s.high)
}

// rise moves the highest number up and makes holes of what was jumped over.
func (s *span) rise(number uint64, now time.Time) {
	for n := s.high + 1; n < number; n++ {
		s.have[n/64%uint64(len(s.have))] &^= 1 << (n % 64)
		if len(s.holes) < spanHoles {
			s.holes = append(s.holes, hole{number: n, missed: now})
		}
	}
	s.high = number
	s.take(number)
}

// take marks a number as received.
func (s *span) take(number uint64) {
	s.have[number/64%uint64(len(s.have))] |= 1 << (number % 64)
	s.came++
	s.received++
}

// has reports whether a number of the window was received.
func (s *span) has(number uint64) bool {
	return s.have[number/64%uint64(len(s.have))]&(1<<(number%64)) != 0
}

// fill forgets a hole.
func (s *span) fill(number uint64) {
	for i := range s.holes {
		if s.holes[i].number == number {
			s.holes = append(s.holes[:i], s.holes[i+1:]...)
			return
		}
	}
}

// missing appends the numbers to ask for now to buf, and gives up on those that are too old.
func (s *span) missing(now time.Time, buf []uint16) []uint16 {
	keep := s.holes[:0]
	for _, h := range s.holes {
		age := now.Sub(h.missed)
		if age >= holeEnd {
			continue
		}
		if age >= holeRest && now.Sub(h.asked) >= holeAgain {
			h.asked = now
			buf = append(buf, uint16(h.number))
		}
		keep = append(keep, h)
	}
	s.holes = keep
	return buf
}

// freeze ends the counting of newer packets, while older ones may still be repaired.
func (s *span) freeze() { s.frozen = true }

// lost is how many packets never came.
func (s *span) lost() uint64 { return s.closed + s.spread() - s.came }

// spread is how many packets the present numbering has received or jumped over.
func (s *span) spread() uint64 {
	if !s.started {
		return 0
	}
	return s.high - s.low + 1
}
