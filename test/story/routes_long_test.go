//go:build !race

package story

import (
	"testing"

	"lyceum/test/cluster"
)

// The long way is not ridden under the race detector: the lossy one starts the same goroutines and has repair besides.
func TestClassGoesRoundALongWayAndReturns(t *testing.T) {
	long := direct
	long.Delay *= 3
	goesRound(t, long, func(t *testing.T, r cluster.Route) {
		if r.RTT < 400 || r.RTT > 500 {
			t.Errorf("the home measures %+v", r)
		}
	})
}
