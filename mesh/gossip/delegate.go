package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. None of its methods may block, for they hold up memberlist's receiving.
type delegate struct{ g *Gossip }

// NodeMeta is what this node says about itself.
func (d delegate) NodeMeta(int) []byte {
	self, _ := d.g.Member(d.g.id)
	return appendMeta(nil, &self)
}

// NotifyAlive refuses a member that does not describe itself as one of this cluster.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := describe(n)
	if err != nil {
		d.g.metrics.malformed.Inc()
		return err
	}
	if m.Cluster != d.g.cfg.Self.Cluster {
		d.g.metrics.foreign.Inc()
		return fmt.Errorf("node %s is of cluster %s", m.ID, m.Cluster)
	}
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	if len(d.g.members) >= maxMembers && d.g.members[m.ID] == nil {
		d.g.metrics.surplus.Inc()
		return errors.New("there are too many members")
	}
	return nil
}

func describe(n *memberlist.Node) (Member, error) {
	if !validID.MatchString(n.Name) {
		return Member{}, errMalformed
	}
	m, err := parseMeta(n.Meta)
	m.ID, m.Gossip = n.Name, n.Address()
	return m, err
}

// NotifyJoin is called when a member comes alive.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.observe(n) }

// NotifyUpdate is called when a member describes itself anew.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.observe(n) }

func (d delegate) observe(n *memberlist.Node) {
	g := d.g
	m, err := describe(n)
	if err != nil || m.ID == g.id {
		return // NotifyAlive has counted it; and nobody tells us who we are
	}
	g.mu.Lock()
	e := g.members[m.ID]
	if e == nil {
		e = &entry{}
		g.members[m.ID] = e
	}
	joined := !e.Alive
	if e.Boot == m.Boot {
		m.Load, m.Leaving = e.Load, e.Leaving
	} else {
		e.number, e.rows, e.ways = 0, 0, nil
	}
	m.Alive = true
	e.Member, e.died = m, time.Time{}
	g.changedLocked()
	g.mu.Unlock()
	if joined {
		g.log.Info("node is alive", "node", m.ID, "region", m.Region, "gossip", m.Gossip, "link", m.Link)
	}
}

// NotifyLeave is called when a member has crashed or left.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	g := d.g
	if n.Name == g.id {
		return
	}
	g.mu.Lock()
	e := g.members[n.Name]
	if e == nil {
		g.mu.Unlock()
		return
	}
	leaving := e.Leaving
	e.Alive, e.died, e.rtt = false, time.Now(), 0
	g.changedLocked()
	g.mu.Unlock()
	if leaving {
		g.log.Info("node has left", "node", n.Name)
	} else {
		g.log.Warn("node is gone without a goodbye", "node", n.Name)
	}
}

// NotifyConflict is called when two processes use the same id.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.g.metrics.conflict.Inc()
	d.g.log.Error("two nodes use the same id", "node", existing.Name, "known", existing.Address(), "refused", other.Address())
}

// NotifyMsg takes news or a row from another node.
func (d delegate) NotifyMsg(b []byte) {
	if d.take(b) != nil {
		d.g.metrics.malformed.Inc()
	}
}

func (d delegate) take(b []byte) error {
	if len(b) > 0 && b[0] == rowVersion {
		r, err := parseRow(b)
		if err == nil {
			d.g.learnRow(r)
		}
		return err
	}
	n, err := parseNews(b)
	if err == nil {
		d.learn(n)
	}
	return err
}

// learn takes news of a known member if they are new, and passes them on.
func (d delegate) learn(n news) {
	g := d.g
	if n.id == g.id {
		return
	}
	g.mu.Lock()
	e := g.members[n.id]
	fresh := e != nil && n.boot == e.Boot && n.number > e.number
	if fresh {
		e.number = n.number
		if e.Load != n.load || e.Leaving != n.leaving {
			e.Load, e.Leaving = n.load, n.leaving
			g.changedLocked()
		}
	}
	g.mu.Unlock()
	if fresh {
		g.spread(n)
	}
}

// GetBroadcasts gives the news that are due.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.g.queue.GetBroadcasts(overhead, limit)
}

// LocalState gives all the news and rows to a node that has just met us. The rows come last, because a node that does not
// know of them stops there.
func (d delegate) LocalState(bool) []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	var b []byte
	add := func(message []byte) {
		b = binary.AppendUvarint(b, uint64(len(message)))
		b = append(b, message...)
	}
	for _, e := range d.g.members {
		if e.number > 0 {
			add(appendNews(nil, new(e.news())))
		}
	}
	for _, e := range d.g.members {
		if e.rows > 0 && e.Alive {
			add(appendRow(nil, new(e.row())))
		}
	}
	return b
}

// MergeRemoteState takes what LocalState gave at the other node.
func (d delegate) MergeRemoteState(b []byte, _ bool) {
	r := reader{rest: b}
	for range 2 * maxMembers {
		if len(r.rest) == 0 {
			return
		}
		if d.take(r.bytes(max(maxMeta, maxWaysBytes))) != nil {
			d.g.metrics.malformed.Inc()
			return
		}
	}
}

// AckPayload adds nothing to the answers to probes.
func (d delegate) AckPayload() []byte { return nil }

// NotifyPingComplete is called with every answered probe.
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	e := d.g.members[n.Name]
	switch {
	case e == nil || rtt <= 0:
	case e.rtt == 0:
		e.rtt = rtt
	default:
		e.rtt += (rtt - e.rtt) / 4
	}
}

// broadcast is news on their way; news of the same member replace it.
type broadcast struct {
	id      string
	message []byte
}

// Invalidates is not asked of named broadcasts.
func (b broadcast) Invalidates(memberlist.Broadcast) bool { return false }

// Name is that of the member that the news are of.
func (b broadcast) Name() string { return b.id }

// Message is the encoded news.
func (b broadcast) Message() []byte { return b.message }

// Finished is called when the message is not sent any more.
func (b broadcast) Finished() {}
