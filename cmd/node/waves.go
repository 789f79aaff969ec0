package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// waveTime is the time from one wave to the next. It is also the time before the first: the others hear by then that this
// node wants nobody any more.
const waveTime = time.Second

// crowd are people who are to go elsewhere.
type crowd struct {
	staying func() int  // how many have not been asked to go
	send    func() bool // asks one of them; false when there is none
	able    func() bool // whether anybody can take them now
}

// empty sends a crowd away, a wave each second, so that all have gone at the given moment: not all at once, because each
// costs the node that takes them a handshake, and at least one a second, because a small class need not wait. Within a wave
// the moments are random, so that nodes that are emptied together do not keep step. Whoever comes later goes too, until ctx
// is done. While nobody can take them they stay.
func (c crowd) empty(ctx context.Context, end time.Time) {
	for {
		next := time.Now().Add(waveTime)
		for _, at := range c.wave(time.Until(end)) {
			if !restUntil(ctx, next.Add(at-waveTime)) {
				return
			}
			if !c.send() {
				break
			}
		}
		if !restUntil(ctx, next) {
			return
		}
	}
}

// wave is when those of the next wave go, from its beginning.
func (c crowd) wave(left time.Duration) []time.Duration {
	staying := c.staying()
	if staying == 0 || !c.able() {
		return nil
	}
	waves := max(1, int(left/waveTime))
	moments := make([]time.Duration, (staying+waves-1)/waves)
	for i := range moments {
		moments[i] = rand.N(waveTime)
	}
	slices.Sort(moments)
	return moments
}

// restUntil waits for a moment and reports whether ctx is still alive.
func restUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
