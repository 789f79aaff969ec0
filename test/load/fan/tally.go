package fan

// tallyReach is how far behind the newest packet one may come and still be told from a duplicate.
const tallyReach = 4096

// tally counts the packets of one RTP stream by their sequence numbers.
type tally struct {
	began    bool
	first    uint64 // extended sequence numbers, from 65536 on so that a packet before the first has one too
	high     uint64
	packets  uint64 // each once
	again    uint64 // duplicates
	received [tallyReach / 64]uint64
}

// add counts a packet, and reports whether it is new.
func (t *tally) add(sequence uint16) bool {
	if !t.began {
		t.began = true
		t.first = 1<<16 | uint64(sequence)
		t.high = t.first
		t.mark(t.high)
		t.packets++
		return true
	}
	n := t.high + uint64(int64(int16(sequence-uint16(t.high))))
	switch {
	case n > t.high:
		for i := t.high + 1; i <= n && i <= t.high+tallyReach; i++ {
			t.received[i%tallyReach/64] &^= 1 << (i % 64)
		}
		t.high = n
	case t.high-n >= tallyReach || t.received[n%tallyReach/64]&(1<<(n%64)) != 0:
		t.again++
		return false
	}
	t.first = min(t.first, n)
	t.mark(n)
	t.packets++
	return true
}

func (t *tally) mark(n uint64) { t.received[n%tallyReach/64] |= 1 << (n % 64) }

// expected is how many packets there are from the first to the newest.
func (t *tally) expected() uint64 {
	if !t.began {
		return 0
	}
	return t.high - t.first + 1
}

// track follows the numbers that the publisher gave the packets of one stream.
type track struct {
	began bool
	high  uint64
}

// add takes a packet, and returns by how many those that are missing between the first and the newest have become more.
// Each packet is to be taken once.
func (t *track) add(number uint64) (missing int64) {
	switch {
	case !t.began:
		t.began, t.high = true, number
		return 0
	case number > t.high:
		missing = int64(number - t.high - 1)
		t.high = number
		return missing
	}
	return -1 // late
}
