package link

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// maxSubscriptions bounds the subscriptions of one link.
const maxSubscriptions = 4096

// downLink is a link to a child.
type downLink struct {
	link
	// Set by newDown, never changed.
	queue *queue
	guard *guard
	most  int // stripes that the link may have; maxStripes if the child goes by what this node would like

	tableMu sync.Mutex
	// Guarded by tableMu.
	subs map[uint64]*serving
	// sentOn tells of which tracks the child was sent to others lately, and when.
	sentOn map[media.TrackID]time.Time
	last   uint64 // the highest number of a subscription so far
	asking asking
}

func newDown(links *Links, h *wire.Hello, speak uint64) *downLink {
	q := newQueue(links.metrics)
	d := &downLink{
		queue: q, guard: newGuard(q, links.metrics), most: int(min(h.Stripes, maxStripes)), subs: map[uint64]*serving{},
		sentOn: map[media.TrackID]time.Time{},
	}
	d.init(links, h.Node, false, h.Link, h.Boot, speak)
	return d
}

// run lives as long as the link.
func (d *downLink) run() {
	dispatcher := &dispatcher{
		queue: d.queue, metrics: d.links.metrics, govern: newGovernor(d), guard: d.guard,
		stripes: func() []*stripe { return *d.stripes.Load() },
	}
	d.tasks.Go(func() {
		if err := dispatcher.run(d.ctx); err != nil {
			d.end(err)
		}
	})
	_ = d.link.run() // it has said why
}

// receive takes the child's datagrams on one stripe.
func (d *downLink) receive(conn *quic.Conn) {
	for {
		b, err := conn.ReceiveDatagram(d.ctx)
		if err != nil {
			return
		}
		d.hear()
		if len(b) == 0 || b[0] != wire.KindHeartbeat {
			continue
		}
		h, err := wire.ParseHeartbeat(b)
		if err != nil {
			d.end(err)
			return
		}
		d.heartbeat(h)
	}
}

// handle obeys a message of the child.
func (d *downLink) handle(m wire.Message) error {
	switch m := m.(type) {
	case *wire.Subscribe:
		return d.subscribe(m)
	case *wire.Update:
		if s := d.find(m.Sub); s != nil {
			s.update(m.Layers, m.Standby, m.From)
		}
	case *wire.Keyframe:
		if s := d.find(m.Sub); s != nil {
			s.requestKeyframe(m.Layer, m.Known)
		}
	case *wire.Unsubscribe:
		if s := d.find(m.Sub); s != nil {
			s.cancel()
		}
	default:
		return fmt.Errorf("%w: a child sent %T", wire.ErrMalformed, m)
	}
	return nil
}

// find returns a subscription, or nil for one that has ended: messages cross.
func (d *downLink) find(sub uint64) *serving {
	d.tableMu.Lock()
	defer d.tableMu.Unlock()
	return d.subs[sub]
}

func (d *downLink) subscribe(m *wire.Subscribe) error {
	d.tableMu.Lock()
	defer d.tableMu.Unlock()
	if m.Sub <= d.last {
		return fmt.Errorf("%w: subscription %d was used before", wire.ErrMalformed, m.Sub)
	}
	d.last = m.Sub
	if d.asking.ask(time.Now()) {
		d.links.shut(d.peer)
		return errExcess
	}
	if len(d.subs) >= maxSubscriptions {
		d.refuse(m.Sub, wire.Overloaded, 0)
		return nil
	}
	if reason, epoch, ok := d.admit(m); !ok {
		d.refuse(m.Sub, reason, epoch)
		return nil
	}
	if nodes := d.sendOnLocked(m, time.Now()); len(nodes) > 0 {
		d.refuse(m.Sub, wire.Redirect, m.Epoch, nodes...)
		return nil
	}
	d.asking.grant()
	ctx, cancel := context.WithCancel(d.ctx)
	s := &serving{
		down: d, id: m.Sub, room: m.Track.Room, epoch: m.Epoch, cancel: cancel, wake: make(chan struct{}, 1),
		lanes: map[media.Layer]*lane{}, counted: !m.Standby,
	}
	s.track, s.release = d.links.hub.Acquire(m.Track)
	s.reader = s.track.NewReader()
	s.update(m.Layers, m.Standby, m.From)
	d.subs[m.Sub] = s
	d.count(1)
	d.tasks.Go(func() {
		s.run(ctx)
		cancel()
		s.count(false)
		d.tableMu.Lock()
		delete(d.subs, m.Sub)
		d.tableMu.Unlock()
		d.count(-1)
	})
	return nil
}

// admit says whether the child may have what it asks for.
func (d *downLink) admit(m *wire.Subscribe) (reason wire.Reason, epoch uint64, ok bool) {
	epoch = d.links.router.Epoch(m.Track.Room)
	switch {
	case m.Epoch < epoch:
		return wire.StaleEpoch, epoch, false
	case m.Epoch > epoch:
		return wire.Behind, epoch, false
	}
	return 0, epoch, true
}

func (d *downLink) refuse(sub uint64, reason wire.Reason, epoch uint64, instead ...string) {
	d.links.metrics.refused.WithLabelValues(reason.String()).Inc()
	d.send(&wire.Refused{Sub: sub, Reason: reason, Epoch: epoch, Nodes: instead})
}

// list returns the subscriptions in the order of their numbers.
func (d *downLink) list() []*serving {
	d.tableMu.Lock()
	defer d.tableMu.Unlock()
	list := make([]*serving, 0, len(d.subs))
	for _, id := range slices.Sorted(maps.Keys(d.subs)) {
		list = append(list, d.subs[id])
	}
	return list
}
