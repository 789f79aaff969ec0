package node

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPercent is how much garbage a node keeps, in percent of what is in use. Most of its memory is its students' connections, of
	// which hardly anything becomes garbage while they watch, so that to collect sooner costs next to nothing.
	gcPercent = 40
	// lookTime is the time between two looks at memory that is kept for nothing.
	lookTime = 5 * time.Second
	// spare and sparePart are how much may be kept, in bytes and as a part of what is in use. A rush of joins leaves as much again
	// as a node needs afterwards, which Go alone gives back over minutes.
	spare     = 16 << 20
	sparePart = 0.15
)

// SpareMemory lets the process of a node keep less garbage than Go programs do by default, unless GOGC says how much.
func SpareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// giveBack returns memory that has been free since the look before to the system, until ctx is done.
func giveBack(ctx context.Context) error {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	samples := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	before := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			metrics.Read(samples)
			free, used := samples[0].Value.Uint64(), samples[1].Value.Uint64()
			much := free > spare && float64(free) > sparePart*float64(used)
			if much && before {
				debug.FreeOSMemory()
				much = false
			}
			before = much
		}
	}
}
