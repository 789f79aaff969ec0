package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

const (
	room  = "algebra"
	epoch = 7
)

var (
	camera     = media.TrackID{Room: room, Name: media.Camera}
	microphone = media.TrackID{Room: room, Name: media.Microphone}
)

// world is a simulated network with whole links on it. It lives in a synctest bubble.
type world struct {
	t         *testing.T
	authority *pki.Authority
	net       lossy
	delay     time.Duration // one way

	mu    sync.Mutex
	addrs map[string]string
	ports int
}

// lossy is a network that loses packets.
type lossy struct {
	simnet.PerfectRouter
	mu   sync.Mutex
	rand *rand.Rand
	loss float64
	cut  map[string]bool          // hosts that nothing reaches or leaves
	line *narrow                  // that all packets to a host go through; nil for none
	hole string                   // a socket that nothing reaches
	lags map[string]time.Duration // how much longer the way is that leaves a host
	mute string                   // a socket that nothing leaves
}

func (l *lossy) SendPacket(p simnet.Packet) error {
	from, to := p.From.(*net.UDPAddr).IP.String(), p.To.(*net.UDPAddr).IP.String()
	l.mu.Lock()
	lost := l.rand.Float64() < l.loss || l.cut[from] || l.cut[to] || l.mute == p.From.String() || l.hole == p.To.String()
	line, lag := l.line, l.lags[from]
	l.mu.Unlock()
	if lag > 0 && !lost {
		time.AfterFunc(lag, func() { _ = l.PerfectRouter.SendPacket(p) })
		return nil
	}
	if line != nil && line.to == to && !lost {
		line.pass(len(p.Data), func() { _ = l.PerfectRouter.SendPacket(p) })
		return nil
	}
	if !lost {
		_ = l.PerfectRouter.SendPacket(p) // to a socket that is closed, as UDP does
	}
	return nil
}

func (l *lossy) sever(host string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[host] = cut
}

// inWorld runs a story in simulated time on a network with the given delay and loss, beside other stories: time in one does
// not pass because another needs the processor.
func inWorld(t *testing.T, delay time.Duration, loss float64, story func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, err := pki.NewAuthority("demo", 0)
		if err != nil {
			t.Fatal(err)
		}
		story(t, &world{
			t: t, authority: a, delay: delay, addrs: map[string]string{},
			net: lossy{rand: rand.New(rand.NewPCG(1, 2)), loss: loss, cut: map[string]bool{}},
		})
	})
}

func host(id string) string { return fmt.Sprintf("10.0.0.%d", id[0]) }

// socket opens a socket at a host; port 0 takes any.
func (w *world) socket(id string, port int) net.PacketConn {
	if port == 0 {
		w.mu.Lock()
		w.ports++
		port = 10000 + w.ports
		w.mu.Unlock()
	}
	addr := &net.UDPAddr{IP: net.ParseIP(host(id)).To4(), Port: port}
	path := &simnet.SimulatedLink{Latency: w.delay, UploadPacket: &w.net}
	conn := simnet.NewBlockingSimConn(addr, path)
	path.Start()
	w.net.AddNode(addr, path)
	return &closingConn{SimConn: conn, close: sync.OnceFunc(func() {
		conn.Close()
		path.Close()
	})}
}

// closingConn ends its path with itself.
type closingConn struct {
	*simnet.SimConn
	close func()
}

func (c *closingConn) Close() error {
	c.close()
	return nil
}

func identity(t *testing.T, a *pki.Authority, id string) *pki.Identity {
	t.Helper()
	cert, key, err := a.Issue(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	ca, _ := a.PEM()
	i, err := pki.ParseIdentity(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// rogue is a node with a valid certificate and a will of its own: only its endpoint, which the story runs by hand. What
// other nodes say to it on links goes to serve.
func (w *world) rogue(id string, serve func(context.Context, *quic.Conn, string)) *Endpoint {
	w.t.Helper()
	w.mu.Lock()
	w.addrs[id] = net.JoinHostPort(host(id), "4433")
	w.mu.Unlock()
	e, err := NewEndpoint(EndpointConfig{
		Conn: w.socket(id, 4433), Identity: identity(w.t, w.authority, id), Resolve: w.resolve,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	e.handle(wire.Protocol, serve)
	w.run(e)
	return e
}

// run runs an endpoint that nothing else runs.
func (w *world) run(e *Endpoint) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) resolve(n string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr, ok := w.addrs[n]
	return addr, ok
}

// testRouter knows the next hop of one room.
type testRouter struct {
	mu      sync.Mutex
	hop     Hop
	spare   string         // for when the hop and its standby are to be avoided
	origins map[string]Hop // the ways to other nodes than the home
	epoch   uint64
	changed chan struct{}
}

var errNobody = errors.New("nobody is home")

func (r *testRouter) Next(track media.TrackID, avoid []string) (Hop, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hop := r.hop
	if track.Origin != "" {
		hop = r.origins[track.Origin]
	}
	if hop == (Hop{}) {
		return Hop{}, errNobody
	}
	var free []string
	for _, node := range []string{hop.Node, hop.Standby, r.spare} {
		if node != "" && !slices.Contains(avoid, node) {
			free = append(free, node)
		}
	}
	if hop.Self || len(free) == 0 {
		return hop, nil
	}
	return Hop{Node: free[0], Standby: strings.Join(free[1:min(len(free), 2)], ""), Epoch: hop.Epoch}, nil
}

func (r *testRouter) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *testRouter) Epoch(string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch
}

func (r *testRouter) set(hop Hop, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hop, r.epoch = hop, epoch
	close(r.changed)
	r.changed = make(chan struct{})
}

// node is a node as far as links go.
type node struct {
	t        *testing.T
	id       string
	router   *testRouter
	endpoint *Endpoint
	links    *Links
	hub      *relay.Hub
	stop     func() // as a process that ends in good order
}

// node starts a node. Its parent for the room is next; "" makes it the home.
func (w *world) node(id, next string) *node {
	return w.boot(id, next, uint64(time.Now().UnixMilli()), w.authority, nil)
}

func (w *world) boot(id, next string, boot uint64, a *pki.Authority, tweak func(*LinksConfig)) *node {
	w.t.Helper()
	w.mu.Lock()
	w.addrs[id] = net.JoinHostPort(host(id), "4433")
	w.mu.Unlock()
	listen := func() (net.PacketConn, error) { return w.socket(id, 0), nil }
	return start(w.t, a, id, next, boot, w.socket(id, 4433), listen, w.resolve, tweak)
}

func start(t *testing.T, a *pki.Authority, id, next string, boot uint64, conn net.PacketConn,
	listen func() (net.PacketConn, error), resolve func(string) (string, bool), tweak func(*LinksConfig),
) *node {
	t.Helper()
	n := &node{t: t, id: id, router: &testRouter{changed: make(chan struct{})}}
	n.router.set(Hop{Self: next == "", Node: next, Epoch: epoch}, epoch)
	var err error
	n.endpoint, err = NewEndpoint(EndpointConfig{Conn: conn, Listen: listen, Identity: identity(t, a, id), Resolve: resolve})
	if err != nil {
		t.Fatal(err)
	}
	cfg := LinksConfig{Endpoint: n.endpoint, Router: n.router, Node: id, Boot: boot, Registerer: prometheus.NewRegistry()}
	if tweak != nil {
		tweak(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	n.links = NewLinks(cfg)
	n.hub = relay.NewHub(relay.Config{Feeder: n.links, Linger: time.Second})
	ctx, cancel := context.WithCancel(context.Background())
	linked, part := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func() error{
		func() error { return n.endpoint.Run(linked) },
		func() error {
			defer part() // the children go elsewhere first
			return n.links.Run(ctx, n.hub)
		},
		func() error { return n.hub.Run(linked) },
	} {
		running.Go(func() {
			if err := run(); err != nil {
				t.Errorf("node %s: %v", id, err)
			}
		})
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(n.stop)
	return n
}

// metric adds up the values of a metric of a node's links, of one label value or of all.
func (n *node) metric(name string, labels ...string) (sum float64) {
	n.t.Helper()
	families, err := n.links.cfg.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				match = match && found
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// trackOf returns a track of a node that somebody holds.
func (n *node) trackOf(id media.TrackID) *relay.Track {
	t, release := n.hub.Acquire(id)
	release()
	return t
}
