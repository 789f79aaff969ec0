package link

import (
	"slices"
	"testing"
	"time"
)

// reportDelays logs how long packets took.
func reportDelays(t *testing.T, v *viewer) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	d := slices.Clone(v.delays)
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[int(q*float64(len(d)-1))].Round(time.Millisecond) }
	t.Logf("%d packets: p50 %v p95 %v p99 %v max %v", len(d), at(.5), at(.95), at(.99), at(1))
}
