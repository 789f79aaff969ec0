package main

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// maxPacket is the most bytes of a packet that a carrier takes: a full Ethernet frame.
const maxPacket = 1500

// maxFlying bounds the packets on a carrier: 30 Mbps for four seconds, far beyond what any path here holds. Packets
// beyond it are dropped and counted as Full.
const maxFlying = 16384

// carrier carries packets over a line in real time: each is handed over when the line says that it arrives.
type carrier[T any] struct {
	// Set by newCarrier, never changed.
	deliver func(to T, b []byte)
	wake    chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	line   *line
	flying flights[T]
	order  uint64
	spare  [][]byte // the memory of packets that have arrived
}

type flight[T any] struct {
	at    time.Time
	order uint64
	to    T
	b     []byte
}

func newCarrier[T any](p Path, seed uint64, deliver func(to T, b []byte)) *carrier[T] {
	return &carrier[T]{deliver: deliver, wake: make(chan struct{}, 1), line: newLine(p, seed)}
}

// send copies a packet; size is what it takes on the line.
func (c *carrier[T]) send(to T, b []byte, size int) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.line.admit(now, size)
	if !ok {
		return
	}
	if len(c.flying) >= maxFlying {
		c.line.traffic.Full++
		return
	}
	buf := make([]byte, 0, maxPacket)
	if n := len(c.spare); n > 0 {
		buf, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	c.order++
	heap.Push(&c.flying, flight[T]{at: at, order: c.order, to: to, b: append(buf[:0], b...)})
	if c.flying[0].order == c.order {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// change changes the path for packets that come from now on.
func (c *carrier[T]) change(f func(p *Path)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.line.path)
}

func (c *carrier[T]) traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line.traffic
}

// run hands packets over until ctx is done.
func (c *carrier[T]) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		f, wait, arrived := c.next()
		if arrived {
			c.deliver(f.to, f.b)
			c.mu.Lock()
			c.spare = append(c.spare, f.b)
			c.mu.Unlock()
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// next takes the first packet if it has arrived; otherwise it tells how long to wait.
func (c *carrier[T]) next() (f flight[T], wait time.Duration, arrived bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flying) == 0 {
		return f, time.Hour, false
	}
	if wait = time.Until(c.flying[0].at); wait > 0 {
		return f, wait, false
	}
	return heap.Pop(&c.flying).(flight[T]), 0, true
}

// flights is a heap, the next to arrive first.
type flights[T any] []flight[T]

func (f flights[T]) Len() int      { return len(f) }
func (f flights[T]) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights[T]) Push(x any)   { *f = append(*f, x.(flight[T])) }

func (f flights[T]) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].order < f[j].order
	}
	return f[i].at.Before(f[j].at)
}

func (f *flights[T]) Pop() any {
	old := *f
	x := old[len(old)-1]
	old[len(old)-1] = flight[T]{}
	*f = old[:len(old)-1]
	return x
}
