package routing

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"lyceum/geo"
	"lyceum/mesh/gossip"
)

// ErrNoEdge means that no node of the cluster can take a student now.
var ErrNoEdge = errors.New("no node can take another student now; try again in a moment")

// The terms of the cost of an edge, all in milliseconds of delay.
const (
	// kilometresPerMilli is how far a packet and its answer get in a millisecond of round trip: light in fibre covers
	// 200 km in a millisecond, so 100 km there and back.
	kilometresPerMilli = 100
	// loadCost is added in proportion to the seats taken, so that of two equally near edges the emptier is chosen and
	// a full one is worth a detour of 2,000 km and no more.
	loadCost = 20
	// clearlyBetter is what another edge must save before a student who already asks here is sent away: less is
	// within the error of a GeoIP place and would not pay for the extra request.
	clearlyBetter = 15
	// provisional is how long a student who was sent to an edge counts there before the edge's own count, which
	// arrives by gossip every second or so, must show them.
	provisional = 3 * time.Second
	// fallbacks is how many other edges a student is told of.
	fallbacks = 3
)

// Request is a student who looks for an edge.
type Request struct {
	// Place is where the student is, as far as it is known.
	Place geo.Place
	// Asker is the node that the student asked.
	Asker string
	// Avoid names nodes that just failed the student.
	Avoid []string
}

// Assignment is an answer to a Request.
type Assignment struct {
	// Edge is where the student should watch, Fallbacks where next, in order.
	Edge      gossip.Member
	Fallbacks []gossip.Member
	// Why says in a sentence what decided.
	Why string
}

// Assigner assigns students to edges and remembers for some seconds where it sent them, so that a burst of joins does
// not land on one edge whose count has not arrived yet. The zero value is ready.
type Assigner struct {
	mu sync.Mutex
	// Guarded by mu.
	sent map[string][]time.Time // when students were sent to a node, oldest first
}

// Assign chooses an edge for a student among the members, and counts the student there.
func (a *Assigner) Assign(rq Request, members []gossip.Member, now time.Time) (Assignment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	as, err := assign(rq, members, func(id string) int { return a.pendingLocked(id, now) })
	if err != nil {
		return as, err
	}
	a.sendLocked(as.Edge.ID, now)
	return as, nil
}

// Better returns the edge to which a student who asks at rq.Asker should be sent instead, if another is clearly better
// or the asked node cannot serve, and counts the student there. A student whose place is not known is served where they
// asked.
func (a *Assigner) Better(rq Request, members []gossip.Member, now time.Time) (as Assignment, ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pending := func(id string) int { return a.pendingLocked(id, now) }
	as, err = assign(rq, members, pending)
	if err != nil || as.Edge.ID == rq.Asker {
		return as, false, err
	}
	i := slices.IndexFunc(members, func(m gossip.Member) bool { return m.ID == rq.Asker })
	if i >= 0 && serves(members[i], rq, pending) {
		asker := members[i]
		if preferred(asker, rq.Place) == preferred(as.Edge, rq.Place) &&
			cost(asker, rq.Place, pending) < cost(as.Edge, rq.Place, pending)+clearlyBetter {
			return as, false, nil
		}
	}
	a.sendLocked(as.Edge.ID, now)
	return as, true, nil
}

func (a *Assigner) sendLocked(id string, now time.Time) {
	if a.sent == nil {
		a.sent = map[string][]time.Time{}
	}
	a.sent[id] = append(a.sent[id], now)
}

func (a *Assigner) pendingLocked(id string, now time.Time) int {
	times := a.sent[id]
	old, _ := slices.BinarySearchFunc(times, now.Add(-provisional), time.Time.Compare)
	if old == len(times) {
		delete(a.sent, id)
		return 0
	}
	a.sent[id] = times[old:]
	return len(times) - old
}

func assign(rq Request, members []gossip.Member, pending func(string) int) (Assignment, error) {
	able := slices.DeleteFunc(slices.Clone(members), func(m gossip.Member) bool { return !serves(m, rq, pending) })
	if len(able) == 0 {
		return Assignment{}, ErrNoEdge
	}
	// Without a place of the student, near the asked node is the best guess.
	from := rq.Place
	if !from.Known {
		i := slices.IndexFunc(members, func(m gossip.Member) bool { return m.ID == rq.Asker })
		if i >= 0 {
			from.Point = members[i].Place
		}
	}
	rank := func(m gossip.Member) int {
		if !rq.Place.Known && m.ID == rq.Asker {
			return -1
		}
		return preferred(m, rq.Place)
	}
	slices.SortFunc(able, func(x, y gossip.Member) int {
		if c := rank(x) - rank(y); c != 0 {
			return c
		}
		if c := cost(x, from, pending) - cost(y, from, pending); c != 0 {
			return int(math.Copysign(1, c))
		}
		return strings.Compare(x.ID, y.ID)
	})
	as := Assignment{Edge: able[0], Fallbacks: able[1:min(len(able), 1+fallbacks)]}
	as.Why = why(as.Edge, rq)
	return as, nil
}

// serves reports whether a node can take this student.
func serves(m gossip.Member, rq Request, pending func(string) int) bool {
	return m.Alive && !m.Draining && m.Roles.Has(gossip.Edge) && m.URL != "" && !slices.Contains(rq.Avoid, m.ID) &&
		(m.Load.Limit == 0 || m.Load.Sessions+pending(m.ID) < m.Load.Limit)
}

// preferred ranks what a campus says about its own students: first the edges it names, in its order, then those of its
// region, then all others.
func preferred(m gossip.Member, p geo.Place) int {
	if i := slices.Index(p.Nodes, m.ID); i >= 0 {
		return i
	}
	if p.Region != "" && p.Region == m.Region {
		return len(p.Nodes)
	}
	return len(p.Nodes) + 1
}

// cost is the delay that a student at p may expect from an edge, with what its load adds.
func cost(m gossip.Member, p geo.Place, pending func(string) int) float64 {
	c := p.Point.Kilometres(m.Place) / kilometresPerMilli
	if m.Load.Limit > 0 {
		c += loadCost * float64(m.Load.Sessions+pending(m.ID)) / float64(m.Load.Limit)
	}
	return c
}

func why(m gossip.Member, rq Request) string {
	var b strings.Builder
	p := rq.Place
	switch {
	case !p.Known && m.ID == rq.Asker:
		fmt.Fprintf(&b, "%s was asked, and where you are is not known", m.ID)
	case !p.Known:
		fmt.Fprintf(&b, "%s is the nearest to %s, which was asked and cannot serve you", m.ID, rq.Asker)
	case slices.Contains(p.Nodes, m.ID):
		fmt.Fprintf(&b, "%s serves %s", m.ID, p)
	case p.Region != "" && p.Region == m.Region:
		fmt.Fprintf(&b, "%s is in %s, the region of %s", m.ID, m.Region, p)
	default:
		fmt.Fprintf(&b, "%s is the best for %s, %.0f km away", m.ID, p, p.Point.Kilometres(m.Place))
	}
	if m.Load.Limit > 0 {
		fmt.Fprintf(&b, "; %d of %d seats taken", m.Load.Sessions, m.Load.Limit)
	}
	return b.String()
}
