package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

const (
	// helloTimeout is how long a child may take to say Hello on a new stripe.
	helloTimeout = 5 * time.Second
	// maxGreeting bounds the stripes of one node that have not yet said Hello.
	maxGreeting = 2 * maxStripes
)

// Links are the links of this node: to its parents, which it dials, and to its children, which dial it. There is one for
// each neighbour and direction, shared by all rooms.
type Links struct {
	// Set by NewLinks, never changed.
	cfg     LinksConfig
	log     *slog.Logger
	router  Router
	metrics *metrics
	ways    *ways
	crowd   *crowd
	ctx     context.Context // ends with Run
	cancel  context.CancelFunc
	started chan struct{} // closed when hub is set

	hub   *relay.Hub // set by Run before started is closed
	tasks sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	ended    bool
	ups      map[string]*dialing
	downs    map[string]*downLink
	greeting map[string]int       // stripes without a Hello yet, by node
	shutOut  map[string]time.Time // children that get no link, and until when
	last     uint64               // the number of the link that was dialled last
	draining bool
	past     map[string]pastLoss // of ways without a link, by node
}

// ErrVersion means that two nodes have no version of the links' protocol in common: one of them is too old to be in a
// cluster with the other.
var ErrVersion = errors.New("no version of the protocol in common")

// strangePause is how long a node is not dialled again with which this one has no version in common: only another release
// changes that, and every track would otherwise ask again and again.
const strangePause = 30 * time.Second

// dialing is a link that is being dialled or in use, or an attempt that it would be in vain to repeat now.
type dialing struct {
	done chan struct{} // closed when up or err is set
	up   *upLink
	err  error
}

// NewLinks makes the links of a node. It must be called before the endpoint runs.
func NewLinks(cfg LinksConfig) *Links {
	cfg.fill()
	l := &Links{
		cfg: cfg, log: cfg.Logger, router: cfg.Router, ways: newWays(cfg.Node), started: make(chan struct{}),
		ups: map[string]*dialing{}, downs: map[string]*downLink{}, greeting: map[string]int{}, shutOut: map[string]time.Time{},
		crowd: newCrowd(), past: map[string]pastLoss{},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.metrics = newMetrics(cfg.Registerer, l)
	cfg.Endpoint.handle(wire.Protocol, l.serve)
	return l
}

// Run carries the tracks of hub, whose Feeder these links are, until ctx is done. It then gives the children a moment to
// go elsewhere, for which endpoint and hub must still run, ends all links and waits for them.
func (l *Links) Run(ctx context.Context, hub *relay.Hub) error {
	l.hub = hub
	close(l.started)
	<-ctx.Done()
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.part()
	l.cancel()
	l.tasks.Wait()
	return nil
}

// dial returns the link to a parent, or the attempt to open one.
func (l *Links) dial(node string) (*dialing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.ups[node]
	if d == nil || d.over() {
		if l.ended {
			return nil, errGoodbye
		}
		d = &dialing{done: make(chan struct{})}
		l.ups[node] = d
		l.last++
		id := l.last
		l.tasks.Go(func() { l.keep(node, id, d) })
	}
	return d, nil
}

// over reports whether the link has come and gone, and may be dialled again.
func (d *dialing) over() bool {
	select {
	case <-d.done:
		return !d.strange() && (d.err != nil || d.up.ctx.Err() != nil)
	default:
		return false
	}
}

// strange reports whether the node was found to have no version in common.
func (d *dialing) strange() bool {
	select {
	case <-d.done:
		return errors.Is(d.err, ErrVersion)
	default:
		return false
	}
}

// keep dials a parent and lives as long as the link, or as long as it would be in vain to dial again.
func (l *Links) keep(node string, id uint64, d *dialing) {
	d.up, d.err = l.dialUp(node, id)
	strange := errors.Is(d.err, ErrVersion)
	switch {
	case d.err == nil:
		close(d.done)
		_ = d.up.run() // it has said why
	case strange:
		l.metrics.closed.WithLabelValues("version").Inc()
		l.log.Warn("this node cannot get anything from that one", "node", node, "err", d.err, "retry", strangePause)
		close(d.done)
		select {
		case <-time.After(strangePause):
		case <-l.ctx.Done():
		}
	}
	l.mu.Lock()
	if l.ups[node] == d {
		delete(l.ups, node)
	}
	l.mu.Unlock()
	if d.err != nil && !strange {
		close(d.done)
	}
}

// serve takes a stripe of a child: it reads the Hello and joins the stripe to its link.
func (l *Links) serve(ctx context.Context, conn *quic.Conn, peer string) {
	select {
	case <-l.started:
	case <-ctx.Done():
		return
	}
	down, err := l.welcome(ctx, conn, peer)
	if err != nil {
		code, reason := verdict(err)
		l.metrics.closed.WithLabelValues(reason).Inc()
		level := slog.LevelInfo
		if errors.Is(err, ErrVersion) {
			level = slog.LevelWarn
		}
		l.log.Log(ctx, level, "stripe refused", "node", peer, "err", err)
		conn.CloseWithError(code, reason)
		return
	}
	down.receive(conn)
	<-conn.Context().Done()
}

func (l *Links) welcome(ctx context.Context, conn *quic.Conn, peer string) (*downLink, error) {
	l.mu.Lock()
	switch {
	case l.isShutLocked(peer):
		l.mu.Unlock()
		return nil, errExcess
	case l.ended || l.greeting[peer] >= maxGreeting:
		l.mu.Unlock()
		return nil, errGoodbye
	}
	l.greeting[peer]++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.greeting[peer]--; l.greeting[peer] == 0 {
			delete(l.greeting, peer)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.SetDeadline(time.Now().Add(helloTimeout))
	r := wire.NewReader(stream)
	m, err := r.Next()
	if err != nil {
		return nil, err
	}
	hello, ok := m.(*wire.Hello)
	if !ok {
		return nil, fmt.Errorf("%w: the child began with %T", wire.ErrMalformed, m)
	}
	if hello.Node != peer || hello.Stripe >= min(hello.Stripes, maxStripes) {
		return nil, fmt.Errorf("%w: Hello of node %q, stripe %d of %d, from node %q",
			wire.ErrMalformed, hello.Node, hello.Stripe, hello.Stripes, peer)
	}
	version, agreed := hello.Agree(l.cfg.Version)
	welcome := &wire.Welcome{Version: version, Node: l.cfg.Node, Boot: l.cfg.Boot}
	if _, err := stream.Write(wire.AppendMessage(nil, welcome)); err != nil {
		return nil, err
	}
	if !agreed {
		select { // the child reads the answer and hangs up
		case <-conn.Context().Done():
		case <-ctx.Done():
		}
		return nil, fmt.Errorf("%w: node %s speaks %v, this one %v", ErrVersion, peer, hello.Versions, wire.Versions(l.cfg.Version))
	}
	_ = stream.SetDeadline(time.Time{})
	down, err := l.down(hello, version)
	if err != nil {
		return nil, err
	}
	s := newStripe(int(hello.Stripe), conn, stream)
	if !down.join(s, r, down.handle) {
		return nil, errSuperseded
	}
	return down, nil
}

// down returns the link that a stripe belongs to. A newer link of a child replaces the one before.
func (l *Links) down(h *wire.Hello, version uint64) (*downLink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, errGoodbye
	}
	if old := l.downs[h.Node]; old != nil {
		switch {
		case h.Boot == old.boot && h.Link == old.id && old.ctx.Err() == nil:
			if version != old.speak {
				return nil, fmt.Errorf("%w: one stripe of a link speaks version %d, another %d", wire.ErrMalformed, version, old.speak)
			}
			return old, nil
		case h.Boot < old.boot, h.Boot == old.boot && h.Link <= old.id:
			return nil, errSuperseded
		}
		old.end(errSuperseded)
	}
	d := newDown(l, h, version)
	l.downs[h.Node] = d
	if l.draining {
		d.send(&wire.GoAway{Deadline: uint64(drainTime.Milliseconds())})
	}
	l.tasks.Go(func() {
		d.run()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.downs[h.Node] == d {
			delete(l.downs, h.Node)
		}
	})
	return d, nil
}

func (l *Links) countUp() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, d := range l.ups {
		if !d.strange() {
			n++
		}
	}
	return float64(n)
}

func (l *Links) countDown() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(len(l.downs))
}

// all returns the links that are up, those to parents and those to children.
func (l *Links) all() (ups []*upLink, downs []*downLink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.ups {
		select {
		case <-d.done:
			if d.err == nil {
				ups = append(ups, d.up)
			}
		default:
		}
	}
	for _, d := range l.downs {
		downs = append(downs, d)
	}
	slices.SortFunc(ups, func(a, b *upLink) int { return compare(&a.link, &b.link) })
	slices.SortFunc(downs, func(a, b *downLink) int { return compare(&a.link, &b.link) })
	return ups, downs
}

var _ relay.Feeder = (*Links)(nil)
