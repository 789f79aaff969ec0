package forward

import (
	"encoding/binary"
	"errors"
	"math"
)

const (
	// departures is how many packets are remembered until the player tells when they came: half a second of 8 Mbit/s.
	departures = 512
	// bucketTime and buckets make the second over which it is counted what arrives.
	bucketTime, buckets = 50_000, 20

	// congested and draining are queues, in microseconds: one so long that it is taken for the network's end, and one so
	// short that nothing more is concluded from it.
	congested, draining = 25_000, 15_000
	// fallTime is the time between two falls because of one queue.
	fallTime = 300_000
	// tellTime is the time between two limits, but for those that fall.
	tellTime = 250_000
	// watchTime is how long arrivals are watched before there is a limit.
	watchTime = 1_000_000
	// groupTime is how far apart packets must leave for their ways to be compared: those of a train queue behind each other.
	groupTime = 5000
	// patient is how many groups in a row may meet a queue that grows.
	patient = 3
	// skew is by how much the shortest way may grow from one group to the next: clocks differ, and routes change.
	skew = 20
)

// ErrArrivals means that a report of arrivals does not follow its format.
var ErrArrivals = errors.New("the report of arrivals is damaged")

// Arrivals makes a limit for a player that tells none, but when each packet has come (transport-wide congestion control, a
// draft of 2015 that GStreamer and others speak): as such a player would, were it a browser, it has the limit fall to 0.85
// of what arrives while packets queue up, and grow by 8 % a second, to half as much again as arrives, while they do not.
// The zero value is ready. It takes 4 kB.
type Arrivals struct {
	sent [departures]departed
	next uint16

	// The player's clock, in microseconds.
	newest int64
	began  int64
	stepAt int64
	toldAt int64
	fellAt int64

	got    [buckets]uint32 // bytes that have arrived, by time
	last   int64           // the departure of the last group
	base   float64         // the shortest way of late, on two clocks, in microseconds
	queue  float64         // by how much ways are longer, smoothed
	over   int             // groups in a row that met a queue that grows
	value  float64         // 0 for none
	active bool
}

// departed is a packet on its way.
type departed struct {
	at       uint32 // microseconds
	sequence uint16
	size     uint16 // 0 marks one that has come, or was never sent
}

// Depart remembers a packet of a size that leaves now, and returns its number among all that are counted.
func (a *Arrivals) Depart(size int, now int64) (sequence uint16) {
	sequence = a.next
	a.next++
	a.sent[sequence%departures] = departed{uint32(now), sequence, uint16(min(max(size, 1), math.MaxUint16))}
	return sequence
}

// Report takes in a report of arrivals, as it came: an RTCP packet. If tell is true the limit, in bits per second, is
// worth telling. Reports of packets that never left, or have come before, change nothing.
func (a *Arrivals) Report(b []byte, now int64) (limit float64, tell bool, err error) {
	fell := false
	err = eachArrival(b, func(sequence uint16, at int64) {
		d := &a.sent[sequence%departures]
		if d.size == 0 || d.sequence != sequence {
			return
		}
		left := now - int64(uint32(now)-d.at)
		fell = a.arrive(int(d.size), left, at) || fell
		d.size = 0
	})
	if a.value == 0 || !fell && a.newest-a.toldAt < tellTime {
		return 0, false, err
	}
	a.toldAt = a.newest
	return a.value, true, err
}

// Full reports whether the newest packets have met a queue that grows. The limit need not have fallen because of it: after a
// narrow line it may lie far below what arrives.
func (a *Arrivals) Full() bool { return a.over > patient }

// arrive takes in one packet, and reports whether the limit has fallen.
func (a *Arrivals) arrive(size int, left, at int64) (fell bool) {
	if !a.active || at < a.newest-watchTime || at > a.newest+10*watchTime {
		*a = Arrivals{ // the clock was set, or nothing has come for long
			sent: a.sent, next: a.next, value: a.value, active: true, newest: at, began: at, stepAt: at, toldAt: at - tellTime,
			fellAt: at - fallTime, base: math.Inf(1), last: left - groupTime,
		}
	}
	a.count(size, at)
	if left-a.last < groupTime {
		return false
	}
	a.last = left
	way := float64(at - left)
	a.base = min(a.base+skew, way)
	a.queue += (way - a.base - a.queue) * 0.3
	switch {
	case a.queue > congested && way-a.base > a.queue*0.9:
		if a.over++; a.over > patient && a.newest-a.fellAt > fallTime {
			if through := 0.85 * a.through(); a.value == 0 || through < a.value {
				a.value, fell = through, true
			}
			a.fellAt, a.stepAt = a.newest, a.newest
		}
		return fell
	case a.queue > draining:
		a.over, a.stepAt = 0, a.newest
		return false
	}
	a.over = 0
	if a.value == 0 && a.newest-a.began >= watchTime {
		a.value = a.through()
	}
	if step := a.newest - a.stepAt; step > 200_000 {
		if most := 1.5*a.through() + 10_000; a.value < most {
			a.value = min(a.value*math.Pow(1.08, float64(step)/1e6), most)
		}
		a.stepAt = a.newest
	}
	return false
}

// count counts what has arrived at a time.
func (a *Arrivals) count(size int, at int64) {
	for to := at / bucketTime; a.newest/bucketTime < to; {
		a.newest = min(max(a.newest+bucketTime, at-watchTime), at)
		a.got[a.place(a.newest)] = 0
	}
	a.newest = max(a.newest, at)
	if at > a.newest-watchTime+bucketTime {
		a.got[a.place(at)] += uint32(size)
	}
}

func (*Arrivals) place(at int64) int {
	return int(((at/bucketTime)%buckets + buckets) % buckets)
}

// through is what has arrived in the last second, in bits per second.
func (a *Arrivals) through() float64 {
	sum := 0.0
	for _, n := range a.got {
		sum += float64(n)
	}
	return sum * 8e6 / float64(min(max(a.newest-a.began, watchTime/5), watchTime))
}

// eachArrival reads a report: chunks that say which packets have come, then the time between each two of these.
func eachArrival(b []byte, arrived func(sequence uint16, at int64)) error {
	const head, small, large = 20, 1, 2
	if len(b) < head {
		return ErrArrivals
	}
	base, count := binary.BigEndian.Uint16(b[12:]), int(binary.BigEndian.Uint16(b[14:]))
	if count > 4*departures {
		return ErrArrivals
	}
	at := int64(int32(binary.BigEndian.Uint32(b[16:]))>>8) * 64_000 // 24 bits with a sign, in 64 ms
	end, covered := head, 0
	for ; covered < count; end += 2 {
		if end+2 > len(b) {
			return ErrArrivals
		}
		covered += symbols(binary.BigEndian.Uint16(b[end:]))
	}
	deltas := b[end:]
	for i, chunks := 0, b[head:end]; i < count; chunks = chunks[2:] {
		chunk := binary.BigEndian.Uint16(chunks)
		for k := 0; k < symbols(chunk) && i < count; k, i = k+1, i+1 {
			switch s := symbol(chunk, k); {
			case s == small && len(deltas) >= 1:
				at += int64(deltas[0]) * 250
				deltas = deltas[1:]
			case s == large && len(deltas) >= 2:
				at += int64(int16(binary.BigEndian.Uint16(deltas))) * 250
				deltas = deltas[2:]
			case s == small || s == large:
				return ErrArrivals
			default:
				continue
			}
			arrived(base+uint16(i), at)
		}
	}
	return nil
}

// symbols is how many packets a chunk is about: a run, or 14 of one bit, or 7 of two.
func symbols(chunk uint16) int {
	switch chunk >> 14 {
	case 2:
		return 14
	case 3:
		return 7
	}
	return int(chunk & 0x1fff)
}

// symbol is what a chunk says of one of its packets: 0 for missing, 1 and 2 for one whose time follows in so many bytes.
func symbol(chunk uint16, k int) uint16 {
	switch chunk >> 14 {
	case 2:
		return chunk >> (13 - k) & 1
	case 3:
		return chunk >> (12 - 2*k) & 3
	}
	return chunk >> 13 & 3
}
