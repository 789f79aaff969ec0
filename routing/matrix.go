package routing

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lyceum/mesh/gossip"
)

// maxRegions bounds the regions between which routes are looked for, because that takes time in the third power of their
// number. A mesh has a dozen; those beyond, in the order of their names, are always reached directly.
const maxRegions = 64

// NewMatrix sums up what the nodes have measured of the ways between regions.
//
// Each is the median of what the nodes say, the lower of two, so that one strange node decides nothing: what disturbs a
// measurement makes a round trip longer, not shorter. A round trip is the same seen from both ends. A loss is not, and what
// counts is the one in the direction of the tracks; the other one stands in where it is not known, and none where neither
// is.
func NewMatrix(ways []gossip.Way) Matrix {
	regions := regionsOf(ways)
	if len(regions) > maxRegions {
		regions = regions[:maxRegions]
	}
	known := func(region string) bool {
		_, ok := slices.BinarySearch(regions, region)
		return ok
	}
	rtts, losses := map[RegionPair][]time.Duration{}, map[RegionPair][]float64{}
	for _, w := range ways {
		if w.From == w.To || w.RTT <= 0 || !known(w.From) || !known(w.To) {
			continue
		}
		pair, back := RegionPair{w.From, w.To}, RegionPair{w.To, w.From}
		rtts[pair], rtts[back] = append(rtts[pair], w.RTT), append(rtts[back], w.RTT)
		if w.Loss >= 0 {
			losses[pair] = append(losses[pair], w.Loss)
		}
	}
	m := make(Matrix, len(rtts))
	for pair, list := range rtts {
		d := Measure{RTT: middle(list)}
		for _, way := range []RegionPair{pair, {pair.To, pair.From}} {
			if list := losses[way]; len(list) > 0 {
				d.Loss = middle(list)
				break
			}
		}
		m[pair] = d
	}
	return m
}

// regionsOf lists the regions that ways begin or end in, in order.
func regionsOf(ways []gossip.Way) []string {
	set := map[string]bool{}
	for _, w := range ways {
		set[w.From], set[w.To] = true, true
	}
	return slices.Sorted(maps.Keys(set))
}

// middle is the lower median.
func middle[T cmp.Ordered](list []T) T {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}
