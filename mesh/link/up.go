package link

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

const (
	// joinTimeout bounds the dialling of a stripe and its greeting.
	joinTimeout = 3 * time.Second
	// earlyChunks bounds the chunks of a link that wait for the state that explains them.
	earlyChunks = 1024
)

// upLink is a link to a parent.
type upLink struct {
	link
	slots   chan struct{} // one for each chunk being received, and for each receiver that waits for one
	early   atomic.Int32  // chunks that wait for their state
	endless atomic.Int32  // chunks in a row that came to no end in time
	leaving chan struct{} // closed under tableMu when the parent says that it will leave
	keepers keepers       // guarded by mu
	mender  mender

	tableMu sync.RWMutex
	// Guarded by tableMu.
	subs   map[uint64]*intake
	last   uint64   // the number of the newest subscription
	others []string // nodes that the parent has named when it was about to leave
}

// dialUp opens a link to a parent: stripe 0 first, then the others while the link is in use already.
func (l *Links) dialUp(node string, id uint64) (*upLink, error) {
	ctx, cancel := context.WithTimeout(l.ctx, joinTimeout)
	defer cancel()
	first, r, welcome, err := l.dialStripe(ctx, node, id, 0)
	if err != nil {
		return nil, err
	}
	u := &upLink{
		slots: make(chan struct{}, openChunks), subs: map[uint64]*intake{},
		leaving: make(chan struct{}),
		keepers: keepers{stop: map[int]context.CancelFunc{}},
	}
	u.init(l, node, true, id, welcome.Boot, welcome.Version)
	u.add(first, r)
	u.resize(cmp.Or(l.cfg.Stripes, startStripes))
	u.tasks.Go(u.watchStripes)
	return u, nil
}

// dialStripe dials one stripe and greets the parent.
func (l *Links) dialStripe(ctx context.Context, node string, id uint64, i int) (*stripe, *wire.Reader, *wire.Welcome, error) {
	conn, err := l.cfg.Endpoint.dial(ctx, node, wire.Protocol, joinTimeout, true)
	if err != nil {
		return nil, nil, nil, err
	}
	s, r, welcome, err := l.greet(ctx, conn, id, i)
	if speaks := wire.Versions(l.cfg.Version); err == nil && !slices.Contains(speaks, welcome.Version) {
		err = fmt.Errorf("%w: this node speaks %v", ErrVersion, speaks)
	}
	if err == nil && welcome.Node != node {
		err = fmt.Errorf("%w: it calls itself %q", wire.ErrMalformed, welcome.Node)
	}
	if err != nil {
		conn.CloseWithError(codeRefused, "")
		return nil, nil, nil, fmt.Errorf("greet %s: %w", node, err)
	}
	return s, r, welcome, nil
}

func (l *Links) greet(ctx context.Context, conn *quic.Conn, id uint64, i int) (*stripe, *wire.Reader, *wire.Welcome, error) {
	stream, err := conn.OpenStream()
	if err != nil {
		return nil, nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		stream.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { stream.CancelRead(0) })()
	_, err = stream.Write(wire.AppendMessage(nil, &wire.Hello{
		Versions: wire.Versions(l.cfg.Version), Node: l.cfg.Node, Link: id,
		Stripe: uint64(i), Stripes: uint64(cmp.Or(l.cfg.Stripes, maxStripes)), Boot: l.cfg.Boot,
	}))
	if err != nil {
		return nil, nil, nil, err
	}
	r := wire.NewReader(stream)
	m, err := r.Next()
	if err != nil {
		return nil, nil, nil, err
	}
	welcome, ok := m.(*wire.Welcome)
	if !ok {
		return nil, nil, nil, fmt.Errorf("%w: the parent answered with %T", wire.ErrMalformed, m)
	}
	stream.SetDeadline(time.Time{})
	return newStripe(i, conn, stream), r, welcome, nil
}

// add makes a stripe part of the link.
func (u *upLink) add(s *stripe, r *wire.Reader) bool {
	if !u.join(s, r, u.handle) {
		return false
	}
	u.tasks.Go(func() { u.receiveDatagrams(s.conn) })
	u.tasks.Go(func() { u.acceptChunks(s.conn) })
	return true
}

// handle obeys a message of the parent.
func (u *upLink) handle(m wire.Message) error {
	switch m := m.(type) {
	case *wire.Accepted:
		if in := u.find(m.Sub); in != nil {
			in.accept(&m.State)
		}
	case *wire.State:
		if in := u.find(m.Sub); in != nil {
			in.accept(&m.State)
		}
	case *wire.Report:
		if in := u.find(m.Sub); in != nil {
			in.report(m)
		}
	case *wire.Refused:
		if in := u.find(m.Sub); in != nil {
			in.refuse(m)
		}
	case *wire.Stripes:
		u.heed(m)
	case *wire.GoAway:
		u.leave(m)
	default:
		return fmt.Errorf("%w: a parent sent %T", wire.ErrMalformed, m)
	}
	return nil
}

func (u *upLink) find(sub uint64) *intake {
	u.tableMu.RLock()
	defer u.tableMu.RUnlock()
	return u.subs[sub]
}

// subscribe asks for a track.
func (u *upLink) subscribe(t *relay.Track, m *wire.Subscribe) *intake {
	in := &intake{up: u, track: t, epoch: m.Epoch, wake: make(chan struct{}, 1)}
	in.wants.Store(uint32(m.Layers))
	in.standby.Store(m.Standby)
	u.tableMu.Lock()
	u.last++
	in.id, m.Sub = u.last, u.last
	u.subs[in.id] = in
	u.tableMu.Unlock()
	u.count(1)
	u.links.metrics.subscribed.Inc()
	u.send(m)
	return in
}

// unsubscribe ends a subscription.
func (u *upLink) unsubscribe(in *intake) {
	u.tableMu.Lock()
	delete(u.subs, in.id)
	u.tableMu.Unlock()
	u.count(-1)
	u.send(&wire.Unsubscribe{Sub: in.id})
	in.close()
}

// leave notes that the parent is about to leave.
func (u *upLink) leave(m *wire.GoAway) {
	u.tableMu.Lock()
	defer u.tableMu.Unlock()
	u.others = m.Alternatives
	select {
	case <-u.leaving:
	default:
		u.log.Info("the parent is about to leave")
		close(u.leaving)
	}
}

// alternatives are the nodes that a parent which leaves has named.
func (u *upLink) alternatives() []string {
	u.tableMu.RLock()
	defer u.tableMu.RUnlock()
	return u.others
}

func (u *upLink) list() []*intake {
	u.tableMu.RLock()
	defer u.tableMu.RUnlock()
	list := make([]*intake, 0, len(u.subs))
	for _, id := range slices.Sorted(maps.Keys(u.subs)) {
		list = append(list, u.subs[id])
	}
	return list
}
