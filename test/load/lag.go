package main

import (
	"context"
	"time"
)

const (
	// lagPeriod is how often the machine is asked whether it wakes sleepers in time.
	lagPeriod = 5 * time.Millisecond
	// lagLimit is the 99th percentile of the lag beyond which a measurement says more about the machine than about Lyceum.
	lagLimit = 10 * time.Millisecond
)

// watchLag sleeps again and again until ctx is done, and returns by how much it overslept each time.
func watchLag(ctx context.Context) (lags []time.Duration) {
	timer := time.NewTimer(lagPeriod)
	defer timer.Stop()
	for {
		due := time.Now().Add(lagPeriod)
		timer.Reset(lagPeriod)
		select {
		case <-ctx.Done():
			return lags
		case <-timer.C:
			lags = append(lags, max(0, time.Since(due)))
		}
	}
}
