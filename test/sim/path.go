package sim

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// headers is what IPv4 and UDP add to a datagram on the line, in bytes.
	headers = 28
	// maxDatagram is the largest payload that an Ethernet frame carries over IPv4, in bytes.
	maxDatagram = 1500 - headers
	// defaultQueue is the line's buffer when Path.Queue is zero: what a router of a few MB has at usual rates.
	defaultQueue = 100 * time.Millisecond
	// defaultHeld is how far a reordered packet falls back when Path.ReorderBy is zero.
	defaultHeld = 10 * time.Millisecond
)

// Path is what happens to packets from one host to another. The zero Path is perfect.
type Path struct {
	// Delay is the one-way propagation time.
	Delay time.Duration
	// Jitter is by how much a packet may be earlier or later than Delay, evenly spread. It does not change the order.
	Jitter time.Duration
	// Loss is the share of packets that vanish, 0 to 1.
	Loss float64
	// Burst is the mean number of packets that vanish in a row. 0 and 1 mean that each is lost on its own.
	Burst float64
	// Reorder is the share of packets that are held back by ReorderBy, so that later ones overtake them.
	Reorder float64
	// ReorderBy is how long they are held back. Zero means 10 ms.
	ReorderBy time.Duration
	// Rate is the line's speed in bits per second. Zero means without bound.
	Rate int64
	// Queue is the longest that a packet waits for the line; it is dropped when it would wait longer. Zero means 100 ms.
	Queue time.Duration
}

// Traffic counts what one host sent to another.
type Traffic struct {
	// Packets and Bytes are the datagrams that were sent, lost ones included, and their payload.
	Packets, Bytes int64
	// StreamBytes are the bytes of stream connections that were sent, repetitions included.
	StreamBytes int64
	// Lost, Full and Cut are datagrams and stream segments that vanished by chance, for want of room before the line,
	// and because the path was cut.
	Lost, Full, Cut int64
	// Overflow are datagrams that arrived at a socket whose reader is too slow; Unheard are those to a closed port.
	Overflow, Unheard int64
}

// Sub returns what came to t since u.
func (t Traffic) Sub(u Traffic) Traffic {
	return Traffic{
		Packets: t.Packets - u.Packets, Bytes: t.Bytes - u.Bytes, StreamBytes: t.StreamBytes - u.StreamBytes,
		Lost: t.Lost - u.Lost, Full: t.Full - u.Full, Cut: t.Cut - u.Cut,
		Overflow: t.Overflow - u.Overflow, Unheard: t.Unheard - u.Unheard,
	}
}

// lane is one direction between two hosts. What is sent waits in a queue until its time and is then handed over by
// run. The queue needs no bound of its own: Path.Queue bounds it where there is a Rate, and a lane without Rate holds
// what is in flight.
type lane struct {
	// Set by newLane, never changed.
	wake chan struct{}

	// Guarded by mu.
	mu      sync.Mutex
	path    Path
	cut     bool
	bad     bool // inside a burst of losses
	rng     *rand.Rand
	free    time.Time // when the line has sent all that waits
	last    time.Time // the latest arrival of a packet that keeps its order
	order   uint64
	flying  flights
	traffic Traffic
}

func newLane(path Path, rng *rand.Rand) *lane {
	return &lane{wake: make(chan struct{}, 1), path: path, rng: rng}
}

// send puts size bytes on the lane; arrive is called when they are there. It reports false when they vanish.
func (l *lane) send(size int, datagram bool, arrive func()) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if datagram {
		l.traffic.Packets++
		l.traffic.Bytes += int64(size)
	} else {
		l.traffic.StreamBytes += int64(size)
	}
	if l.cut {
		l.traffic.Cut++
		return false
	}
	at := now
	if l.path.Rate > 0 {
		queue := l.path.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if l.free.Before(now) {
			l.free = now
		}
		if l.free.Sub(now) > queue {
			l.traffic.Full++
			return false
		}
		l.free = l.free.Add(time.Duration(int64(size+headers) * 8 * int64(time.Second) / l.path.Rate))
		at = l.free
	}
	if l.loseLocked() {
		l.traffic.Lost++
		return false
	}
	at = at.Add(l.path.Delay)
	if j := l.path.Jitter; j > 0 {
		at = at.Add(time.Duration(l.rng.Int64N(2*int64(j)+1)) - j)
	}
	if at.Before(now) {
		at = now
	}
	if l.path.Reorder > 0 && l.rng.Float64() < l.path.Reorder {
		held := l.path.ReorderBy
		if held == 0 {
			held = defaultHeld
		}
		at = at.Add(held)
	} else {
		if at.Before(l.last) {
			at = l.last
		}
		l.last = at
	}
	l.order++
	heap.Push(&l.flying, flight{at: at, order: l.order, arrive: arrive})
	poke(l.wake)
	return true
}

// loseLocked decides by a Gilbert model: losses come in runs of Burst packets on average and make up Loss of all.
func (l *lane) loseLocked() bool {
	p, burst := l.path.Loss, max(l.path.Burst, 1)
	switch {
	case p <= 0:
		l.bad = false
	case p >= 1:
		l.bad = true
	case burst <= 1:
		l.bad = l.rng.Float64() < p
	case l.bad:
		l.bad = l.rng.Float64() >= 1/burst
	default:
		l.bad = l.rng.Float64() < p/(burst*(1-p))
	}
	return l.bad
}

// count changes the counters.
func (l *lane) count(f func(t *Traffic)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.traffic)
}

// run hands over what has arrived until done is closed. All its waiting is durable in the sense of testing/synctest.
func (l *lane) run(done <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		f, wait, some := l.next()
		switch {
		case some && wait <= 0:
			f.arrive()
			continue
		case some:
			timer.Reset(wait)
		default:
			timer.Stop()
		}
		select {
		case <-done:
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// next takes the first flight if it has arrived; otherwise it tells how long it still flies.
func (l *lane) next() (f flight, wait time.Duration, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.flying) == 0 {
		return flight{}, 0, false
	}
	if wait = time.Until(l.flying[0].at); wait > 0 {
		return flight{}, wait, true
	}
	return heap.Pop(&l.flying).(flight), 0, true
}

type flight struct {
	at     time.Time
	order  uint64
	arrive func()
}

// flights is a heap, the next to arrive first.
type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }

func (f flights) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].order < f[j].order
	}
	return f[i].at.Before(f[j].at)
}

func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	old[len(old)-1] = flight{}
	*f = old[:len(old)-1]
	return x
}

// poke wakes the one who waits on c, now or when it next waits.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
