package routing

import (
	"cmp"
	"slices"
	"time"
)

// RegionPair is a way between two regions, in one direction.
type RegionPair struct{ From, To string }

// Measure is what was measured between the hubs of two regions.
type Measure struct {
	RTT  time.Duration
	Loss float64 // the share of packets that are lost, 0 to 1
}

// Matrix holds what is known of the ways between regions. A pair that is measured in one direction only counts for both.
type Matrix map[RegionPair]Measure

// RouteTable tells through which third region the tracks of a region enter another. Pairs that are not in it are joined
// directly, so that the nil table is the default.
type RouteTable map[RegionPair]string

// Via is the region through which tracks from one region enter another, "" for none.
func (t RouteTable) Via(from, to string) string { return t[RegionPair{from, to}] }

const (
	// lossCost is by how much loss beyond lossy makes a way longer: with 2.5 % of the packets lost a round trip counts
	// double, which is what a repair adds.
	lossCost = 50
	// hopCost is what one more node adds, at its worst.
	hopCost = 5 * time.Millisecond
	// detourLeast is what a detour must save at the least: in a mesh within one city every difference is noise.
	detourLeast = 10 * time.Millisecond
	// detourSaves is the share of the direct way's cost that a detour must save, and detourKeeps the share that it
	// must go on saving: measurements vary, and each change moves every room between the two regions.
	detourSaves = 0.10
	detourKeeps = 0.02
	// detourRTT bounds a detour's round trip by the direct one, unless it loses much less.
	detourRTT = 1.3
	// muchLess is the share of the direct way's loss that is much less.
	muchLess = 1.0 / 3
	// lossy is the loss from which on it counts. Less is within the error of what heartbeats tell in two minutes, 1,200
	// packets, and costs little.
	lossy = 0.005
)

// Routes chooses the detours. Before is the table that was in use so far. No detour leads through a region that is
// itself reached by a detour from the same origin: the regions on a way come closer to the origin at each step, and a
// track crosses at most two regions' borders.
func Routes(m Matrix, before RouteTable) RouteTable {
	regions := m.regions()
	table := RouteTable{}
	for _, from := range regions {
		type target struct {
			region string
			cost   float64
		}
		var targets []target
		for _, to := range regions {
			if d, ok := m.between(from, to); ok && to != from {
				targets = append(targets, target{to, d.cost()})
			}
		}
		slices.SortFunc(targets, func(a, b target) int {
			return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.region, b.region))
		})
		var direct []string // nearer than the target in hand, and reached without a detour
		for _, t := range targets {
			best, lowest := "", t.cost
			for _, via := range direct {
				saves := max(detourSaves*t.cost, float64(detourLeast))
				if before.Via(from, t.region) == via {
					saves = detourKeeps * t.cost
				}
				cost, ok := m.detour(from, via, t.region)
				if ok && cost < t.cost-saves && cost < lowest {
					best, lowest = via, cost
				}
			}
			if best == "" {
				direct = append(direct, t.region)
			} else {
				table[RegionPair{from, t.region}] = best
			}
		}
	}
	return table
}

// regions lists the regions that were measured.
func (m Matrix) regions() []string {
	var list []string
	for p := range m {
		list = append(list, p.From, p.To)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (m Matrix) between(a, b string) (Measure, bool) {
	d, ok := m[RegionPair{a, b}]
	if !ok {
		d, ok = m[RegionPair{b, a}]
	}
	return d, ok && d.RTT > 0
}

// detour is what the way through a third region costs, if it is one to be considered.
func (m Matrix) detour(from, via, to string) (cost float64, ok bool) {
	direct, ok1 := m.between(from, to)
	first, ok2 := m.between(from, via)
	second, ok3 := m.between(via, to)
	if !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	short := float64(first.RTT+second.RTT) <= detourRTT*float64(direct.RTT)
	loss := 1 - (1-first.Loss)*(1-second.Loss)
	clean := direct.Loss >= lossy && loss <= direct.Loss*muchLess
	return first.cost() + second.cost() + float64(hopCost), short || clean
}

// cost is the round trip, longer by what repairs take.
func (d Measure) cost() float64 { return float64(d.RTT) * (1 + lossCost*max(0, d.Loss-lossy)) }
