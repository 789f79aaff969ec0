package routing

import (
	"maps"
	"slices"
	"time"
)

const (
	// routeSettles is how long another way must be the better one before it is taken: two looks in a row. What passes sooner
	// is no reason to move every room between two regions.
	routeSettles = measureEvery - 5*time.Second
	// For each time that the way between two regions has changed in the last hour, calmFor, that time doubles, 32-fold at
	// the most: where two ways are about as good, and measurements vary, rooms move ever less.
	calmFor    = time.Hour
	mostChange = 5
)

// detours is the route table in use, and the changes of it that are about to come. The zero value has none.
type detours struct {
	table  RouteTable // replaced, never changed
	matrix Matrix     // that it was last compared with; replaced, never changed
	wanted map[RegionPair]wanted
	moved  map[RegionPair][]time.Time // when a way changed, for an hour
}

// wanted is a change that has been measured to be better.
type wanted struct {
	via   string
	since time.Time
}

// settles is how long another way between two regions must be the better one now.
func (d *detours) settles(p RegionPair, now time.Time) time.Duration {
	d.moved[p] = slices.DeleteFunc(d.moved[p], func(at time.Time) bool { return now.Sub(at) >= calmFor })
	return routeSettles << min(len(d.moved[p]), mostChange)
}

// look compares the table with new measurements, and reports the pairs of regions that are joined in another way now.
func (d *detours) look(m Matrix, now time.Time) (changed []RegionPair) {
	if d.moved == nil {
		d.wanted, d.moved = map[RegionPair]wanted{}, map[RegionPair][]time.Time{}
	}
	better := Routes(m, d.table)
	next := maps.Clone(d.table)
	if next == nil {
		next = RouteTable{}
	}
	pairs := maps.Clone(better)
	maps.Copy(pairs, d.table)
	maps.DeleteFunc(d.wanted, func(p RegionPair, _ wanted) bool { return better.Via(p.From, p.To) == d.table.Via(p.From, p.To) })
	for p := range pairs {
		via := better.Via(p.From, p.To)
		if via == d.table.Via(p.From, p.To) {
			continue
		}
		w, ok := d.wanted[p]
		switch {
		case !ok || w.via != via:
			d.wanted[p] = wanted{via, now}
		case now.Sub(w.since) >= d.settles(p, now):
			delete(d.wanted, p)
			d.moved[p] = append(d.moved[p], now)
			changed = append(changed, p)
			if next[p] = via; via == "" {
				delete(next, p)
			}
		}
	}
	d.matrix = m
	if len(changed) > 0 {
		d.table = next
	}
	return changed
}
