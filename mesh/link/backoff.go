package link

import (
	"context"
	"math/rand/v2"
	"time"
)

// stable is how long something must last for the next failure to count as the first.
const stable = 5 * time.Second

// backoff is the time to wait before trying again: it doubles with every failure, and varies so that those who failed
// together do not come back together.
type backoff struct{ next time.Duration }

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

func newBackoff() *backoff { return &backoff{next: firstBackoff} }

func (b *backoff) reset() { b.next = firstBackoff }

// take returns the next wait.
func (b *backoff) take() time.Duration {
	d := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, lastBackoff)
	return d
}

// sleep waits until the time is over, ctx is done or early is closed.
func (b *backoff) sleep(ctx context.Context, early <-chan struct{}) {
	timer := time.NewTimer(b.take())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
}
