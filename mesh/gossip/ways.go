package gossip

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

// Way is what one node has measured of the way to a region.
type Way struct {
	// Node measured it; From is the region that it is in.
	Node, From string
	// To is another region.
	To string
	// RTT is the median of the round trips to the nodes of To, as far as they were measured; it is never 0.
	RTT time.Duration
	// Loss is the share of the packets from Node to the nodes of To that did not arrive, 0 to 1. It is negative when it is
	// not known: only nodes that have a link to one another know it.
	Loss float64
}

const (
	waysEvery   = 5 * time.Second // how often this node looks at what it has measured
	waysRefresh = time.Minute     // how often small changes are told
	// rttVaries and rttMoves are the share and the time by which a round trip must change to be told at once, lossMoves the
	// loss by which a loss must besides rttVaries. Less is noise, and all that is told goes to every node.
	rttVaries = 0.25
	rttMoves  = 5 * time.Millisecond
	lossMoves = 50 // of lossUnit: half a percent

	maxWays      = 64
	maxWaysBytes = 1000             // of a message of ways: it must fit into a packet of gossip with others
	maxRTT       = 10 * time.Second // gossip gives up a probe long before
	lossUnit     = 10_000           // the loss of all packets on the wire
)

// way is one entry of a row.
type way struct {
	to   string
	rtt  time.Duration // in whole microseconds
	loss int           // of lossUnit; -1: not known
}

// row is what one node says of the ways from it, the nearest region first. As with news, the newest wins.
type row struct {
	id     string
	boot   uint64
	number uint64
	ways   []way
}

func appendRow(b []byte, r *row) []byte {
	b = append(b, rowVersion)
	b = appendText(b, r.id)
	b = binary.AppendUvarint(b, r.boot)
	b = binary.AppendUvarint(b, r.number)
	b = binary.AppendUvarint(b, uint64(len(r.ways)))
	for _, w := range r.ways {
		b = appendText(b, w.to)
		b = binary.AppendUvarint(b, uint64(w.rtt.Microseconds()))
		b = binary.AppendUvarint(b, uint64(w.loss+1))
	}
	return b
}

func parseRow(b []byte) (row, error) {
	r := reader{rest: b}
	if len(b) > maxWaysBytes || r.byte() != rowVersion {
		return row{}, errMalformed
	}
	out := row{id: r.text(), boot: r.uvarint(), number: r.uvarint()}
	n := r.uvarint()
	if n > maxWays {
		return row{}, errMalformed
	}
	for range n {
		to, rtt, loss := r.text(), r.uvarint(), r.uvarint()
		if to == "" || rtt == 0 || rtt > uint64(maxRTT.Microseconds()) || loss > lossUnit+1 {
			return row{}, errMalformed
		}
		out.ways = append(out.ways, way{to, time.Duration(rtt) * time.Microsecond, int(loss) - 1})
	}
	if r.bad || !validID.MatchString(out.id) {
		return row{}, errMalformed
	}
	return out, nil
}

// fits shortens a row to what may be told. The nearest regions remain: a way through a far one is no gain.
func (r *row) fits() (dropped int) {
	n := len(r.ways)
	r.ways = r.ways[:min(n, maxWays)]
	for len(appendRow(nil, r)) > maxWaysBytes {
		r.ways = r.ways[:len(r.ways)-1]
	}
	return n - len(r.ways)
}

// Ways lists what the living nodes, this one among them, have measured of the ways to other regions. What a node says is
// lost at most until the next exchange of all that is known, about once a minute with some other node; until then this
// one plans with what the node said before.
func (g *Gossip) Ways() []Way {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Way
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		e := g.members[id]
		if !e.Alive {
			continue
		}
		for _, w := range e.ways {
			loss := -1.0
			if w.loss >= 0 {
				loss = float64(w.loss) / lossUnit
			}
			list = append(list, Way{Node: id, From: e.Region, To: w.to, RTT: w.rtt, Loss: loss})
		}
	}
	return list
}

// survey looks at what this node has measured of the ways to other regions.
func (g *Gossip) survey() []way {
	type region struct {
		rtts   []time.Duration
		losses []float64
	}
	regions := map[string]*region{}
	nodes := map[string]*region{}
	g.mu.Lock()
	for id, e := range g.members {
		if !e.Alive || e.rtt == 0 || e.rtt > maxRTT || e.Region == "" || e.Region == g.cfg.Self.Region {
			continue
		}
		r := regions[e.Region]
		if r == nil {
			r = &region{}
			regions[e.Region] = r
		}
		r.rtts = append(r.rtts, e.rtt)
		nodes[id] = r
	}
	g.mu.Unlock()
	for id, r := range nodes {
		if loss, known := g.cfg.Loss(id); known {
			r.losses = append(r.losses, min(max(loss, 0), 1))
		}
	}
	ways := make([]way, 0, len(regions))
	for name, r := range regions {
		w := way{to: name, rtt: max(middle(r.rtts).Truncate(time.Microsecond), time.Microsecond), loss: -1}
		if len(r.losses) > 0 {
			w.loss = int(math.Round(middle(r.losses) * lossUnit))
		}
		ways = append(ways, w)
	}
	slices.SortFunc(ways, func(a, b way) int { return cmp.Or(cmp.Compare(a.rtt, b.rtt), cmp.Compare(a.to, b.to)) })
	return ways
}

// middle is the lower median.
func middle[T cmp.Ordered](list []T) T {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// tellWays tells the others of the ways from here if they have really changed, or if they have changed at all and were
// not told for long.
func (g *Gossip) tellWays(now time.Time) {
	ways := g.survey()
	g.mu.Lock()
	self := g.members[g.id]
	told := self.ways
	g.mu.Unlock()
	if !moved(told, ways) && (now.Sub(g.toldWays) < waysRefresh || slices.Equal(told, ways)) {
		return
	}
	g.toldWays = now
	g.mu.Lock()
	self.rows++
	r := row{id: g.id, boot: self.Boot, number: self.rows, ways: ways}
	g.metrics.untold.Add(float64(r.fits()))
	self.ways = r.ways
	g.mu.Unlock()
	g.spreadRow(&r)
}

// moved reports whether ways have changed enough to be told at once.
func moved(before, now []way) bool {
	if len(before) != len(now) {
		return true
	}
	old := map[string]way{}
	for _, w := range before {
		old[w.to] = w
	}
	return slices.ContainsFunc(now, func(w way) bool {
		b, ok := old[w.to]
		rtt, loss := (w.rtt - b.rtt).Abs(), max(w.loss-b.loss, b.loss-w.loss)
		return !ok || (w.loss < 0) != (b.loss < 0) ||
			rtt > rttMoves && float64(rtt) > rttVaries*float64(b.rtt) ||
			loss > lossMoves && float64(loss) > rttVaries*float64(b.loss)
	})
}

// learnRow takes a row of a known member if it is new, and passes it on.
func (g *Gossip) learnRow(r row) {
	if r.id == g.id {
		return
	}
	g.mu.Lock()
	e := g.members[r.id]
	fresh := e != nil && e.Alive && r.boot == e.Boot && r.number > e.rows
	if fresh {
		e.rows, e.ways = r.number, r.ways
	}
	g.mu.Unlock()
	if fresh {
		g.spreadRow(&r)
	}
}

// spreadRow queues a row, as spread does with news: at most one of each member waits.
func (g *Gossip) spreadRow(r *row) {
	g.queue.QueueBroadcast(broadcast{id: r.id + "/ways", message: appendRow(nil, r)})
}

// row is the entry's row as it is passed on.
func (e *entry) row() row { return row{id: e.ID, boot: e.Boot, number: e.rows, ways: e.ways} }
