package routing

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"lyceum/mesh/gossip"
)

func TestMatrixIsWhatMostNodesSay(t *testing.T) {
	ms := time.Millisecond
	way := func(from, to string, rtt time.Duration, loss float64) gossip.Way {
		return gossip.Way{From: from, To: to, RTT: rtt, Loss: loss}
	}
	both := func(rtt time.Duration, there, back float64) Matrix {
		return Matrix{{"eu", "us"}: {rtt, there}, {"us", "eu"}: {rtt, back}}
	}
	for name, c := range map[string]struct {
		ways []gossip.Way
		want Matrix
	}{
		"nobody says anything":    {nil, Matrix{}},
		"one says it for both":    {[]gossip.Way{way("eu", "us", 90*ms, -1)}, both(90*ms, 0, 0)},
		"the lower of two":        {[]gossip.Way{way("eu", "us", 95*ms, -1), way("us", "eu", 90*ms, -1)}, both(90*ms, 0, 0)},
		"one of three is strange": {[]gossip.Way{way("eu", "us", 1*ms, 1), way("eu", "us", 91*ms, .01), way("eu", "us", 95*ms, .01)}, both(91*ms, .01, .01)},
		"each direction its loss": {[]gossip.Way{way("eu", "us", 90*ms, .06), way("us", "eu", 90*ms, 0)}, both(90*ms, .06, 0)},
		"the loss of the other":   {[]gossip.Way{way("eu", "us", 90*ms, -1), way("us", "eu", 90*ms, .02)}, both(90*ms, .02, .02)},
		"within a region":         {[]gossip.Way{way("eu", "eu", 90*ms, 0)}, Matrix{}},
	} {
		if got := NewMatrix(c.ways); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestMatrixIsBounded(t *testing.T) {
	var ways []gossip.Way
	for i := range 3 * maxRegions {
		ways = append(ways, gossip.Way{From: "eu", To: fmt.Sprintf("%04d", i), RTT: time.Millisecond})
	}
	if n := len(NewMatrix(ways).regions()); n > maxRegions {
		t.Errorf("there are %d regions", n)
	}
}

// TestNearNodesNeverTakeDetours measures a mesh on one machine or in one city, whose round trips are small and, because the
// machine is busy, jump about.
func TestNearNodesNeverTakeDetours(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d detours
	now := time.Now()
	for range 1000 {
		var ways []gossip.Way
		for i, from := range []string{"a", "b", "c"} {
			for j, to := range []string{"a", "b", "c"} {
				if i != j {
					rtt := time.Duration(rng.ExpFloat64() * float64(2*time.Millisecond))
					ways = append(ways, gossip.Way{From: from, To: to, RTT: rtt + 100*time.Microsecond, Loss: -1})
				}
			}
		}
		if changed := d.look(NewMatrix(ways), now); len(changed) > 0 {
			t.Fatalf("%v changed: %v", changed, d.table)
		}
		now = now.Add(measureEvery)
	}
}

// TestWayThatIsMeasuredDifferentlyEachTimeMovesEverLess has two ways that are about as good as one another.
func TestWayThatIsMeasuredDifferentlyEachTimeMovesEverLess(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d detours
	now, ms := time.Now(), time.Millisecond
	var changes []int // in each quarter of an hour
	loss := 0.0
	for quarter := range 8 {
		changes = append(changes, 0)
		for look := range 30 {
			if look%4 == 0 { // what was counted in two minutes
				loss = max(0, 0.010+0.004*rng.NormFloat64())
			}
			changes[quarter] += len(d.look(NewMatrix([]gossip.Way{
				{From: "eu", To: "ap", RTT: 160 * ms, Loss: loss},
				{From: "eu", To: "in", RTT: 80 * ms},
				{From: "in", To: "ap", RTT: 80 * ms},
			}), now)) / 2
			now = now.Add(measureEvery)
		}
	}
	t.Logf("changes in each quarter of an hour: %v", changes)
	total := 0
	for _, n := range changes[1:] {
		total += n
	}
	if total > 7 {
		t.Errorf("the way changed %v times a quarter of an hour", changes)
	}
}

func BenchmarkRoutes(b *testing.B) {
	for _, regions := range []int{12, maxRegions} {
		b.Run(fmt.Sprint(regions), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			var ways []gossip.Way
			for i := range regions {
				for j := range regions {
					if i != j {
						ways = append(ways, gossip.Way{
							From: regionName(i), To: regionName(j), RTT: time.Duration(20+rng.IntN(200)) * time.Millisecond, Loss: -1,
						})
					}
				}
			}
			for b.Loop() {
				Routes(NewMatrix(ways), nil)
			}
		})
	}
}
