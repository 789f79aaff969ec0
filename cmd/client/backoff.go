package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces repeated attempts: each waits about twice as long as the one before, up to max, by chance between half
// and all of that, so that a class that lost its node does not come back in step.
type backoff struct {
	first, max time.Duration
	tries      int
}

// next is how long to wait now.
func (b *backoff) next() time.Duration {
	d := b.max
	if b.tries < 16 {
		d = min(b.first<<b.tries, b.max)
	}
	b.tries++
	return d/2 + rand.N(d/2+1)
}

// reset is called after a success.
func (b *backoff) reset() { b.tries = 0 }

// rest waits and reports whether ctx is still alive.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
