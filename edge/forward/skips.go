package forward

import "math/bits"

// skipSpan is how many numbers back it is remembered which were left out. It is as many as a History remembers of video.
const skipSpan = 1024

// skips remembers which of the newest numbers were left out on purpose, and how many of the run. A packet that comes late
// then still finds its hole: between it and the newest packet, what was left out has taken no sequence number.
type skips struct {
	bits [skipSpan / 64]uint64
	n    uint64 // of the present run
}

// advance forgets what lies skipSpan before the numbers after head up to number.
func (s *skips) advance(head, number uint64) {
	if number-head >= skipSpan {
		s.bits = [skipSpan / 64]uint64{}
		return
	}
	for x := head + 1; x <= number; x++ {
		s.bits[x%skipSpan/64] &^= 1 << (x % 64)
	}
}

func (s *skips) add(number uint64) {
	s.bits[number%skipSpan/64] |= 1 << (number % 64)
	s.n++
}

// has reports whether a number of at most skipSpan before the head was left out.
func (s *skips) has(number uint64) bool { return s.bits[number%skipSpan/64]>>(number%64)&1 != 0 }

// after counts the numbers above number, up to head, that were left out. There are fewer than skipSpan between them.
func (s *skips) after(number, head uint64) (n uint64) {
	for x := number + 1; x <= head; {
		word, from := s.bits[x%skipSpan/64]>>(x%64), x%64
		take := min(64-from, head-x+1)
		n += uint64(bits.OnesCount64(word & (1<<take - 1)))
		x += take
	}
	return n
}
