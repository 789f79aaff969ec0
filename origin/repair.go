package origin

import "time"

// The pace of asking again. A publisher's answer takes one round trip, 100 ms across a continent; a packet that did not
// come after the last try is left to the next keyframe.
const (
	repairEvery  = 100 * time.Millisecond
	repairTries  = 8
	maxMissing   = 256
	repairGiveUp = 64 // so many lost without one repaired: this publisher does not answer for this layer
)

// repair knows which packets of a layer are missing and when to ask for them again. More than maxMissing are not asked
// for: the oldest are given up and counted as lost.
type repair struct {
	missing        []hole
	lost, repaired uint64
}

// hole is a sequence number that did not come.
type hole struct {
	ext   int64
	tries int
	next  time.Time
}

// skipped notes the numbers strictly between two packets as missing.
func (r *repair) skipped(from, to int64, now time.Time) {
	if to-from > window {
		return // the publisher began anew
	}
	for x := from + 1; x < to; x++ {
		r.missing = append(r.missing, hole{ext: x, next: now.Add(repairEvery / 10)}) // it may only be out of order
	}
	if n := len(r.missing) - maxMissing; n > 0 {
		r.missing = append(r.missing[:0], r.missing[n:]...)
		r.lost += uint64(n)
	}
}

// came notes that a late packet is there.
func (r *repair) came(ext int64) {
	for i := range r.missing {
		if r.missing[i].ext != ext {
			continue
		}
		if r.missing[i].tries > 0 {
			r.repaired++
		}
		r.missing = append(r.missing[:i], r.missing[i+1:]...)
		return
	}
}

// due appends the sequence numbers to be asked for now.
func (r *repair) due(now time.Time, seqs []uint16) []uint16 {
	kept := r.missing[:0]
	for _, h := range r.missing {
		if !h.next.After(now) {
			if h.tries == repairTries {
				r.lost++
				continue
			}
			h.tries++
			h.next = now.Add(repairEvery)
			seqs = append(seqs, uint16(h.ext))
		}
		kept = append(kept, h)
	}
	r.missing = kept
	if r.repaired == 0 && r.lost > repairGiveUp {
		return seqs[:0]
	}
	return seqs
}
