package routing

import (
	"maps"
	"time"
)

// routeSettles is how long another way must be the better one before it is taken: two looks in a row. What passes sooner
// is no reason to move every room between two regions.
const routeSettles = measureEvery - 5*time.Second

// detours is the route table in use, and the changes of it that are about to come. The zero value has none.
type detours struct {
	table  RouteTable // replaced, never changed
	matrix Matrix     // that it was last compared with; replaced, never changed
	wanted map[RegionPair]wanted
}

// wanted is a change that has been measured to be better.
type wanted struct {
	via   string
	since time.Time
}

// look compares the table with new measurements, and reports the pairs of regions that are joined in another way now.
func (d *detours) look(m Matrix, now time.Time) (changed []RegionPair) {
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
			if d.wanted == nil {
				d.wanted = map[RegionPair]wanted{}
			}
			d.wanted[p] = wanted{via, now}
		case now.Sub(w.since) >= routeSettles:
			delete(d.wanted, p)
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
