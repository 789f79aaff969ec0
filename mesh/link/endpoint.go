package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/pki"
)

// ErrUnknownNode means that the address of a node is not known.
var ErrUnknownNode = errors.New("the address of the node is not known")

// The codes with which a connection is closed.
const (
	codeGoodbye  quic.ApplicationErrorCode = 0 // the node ends, or the connection is not needed any more
	codeProtocol quic.ApplicationErrorCode = 1 // the peer broke the protocol
	codeRefused  quic.ApplicationErrorCode = 2 // the connection is not wanted
	codeSilent   quic.ApplicationErrorCode = 3 // the peer was not heard any more
)

// Endpoint is a node's door for other nodes: one UDP port for several protocols, told apart by ALPN. Both ends show
// certificates of the cluster; nobody else gets in.
type Endpoint struct {
	// Set by NewEndpoint, never changed.
	cfg       EndpointConfig
	log       *slog.Logger
	metrics   *endpointMetrics
	transport *quic.Transport
	resetKey  quic.StatelessResetKey

	ending sync.WaitGroup // connections that were dialled and are not yet cleaned up

	mu sync.Mutex
	// Guarded by mu.
	protocols map[string]func(context.Context, *quic.Conn, string)
	conns     map[*quic.Conn]struct{}
	listening bool
	closed    bool
}

// NewEndpoint makes an endpoint. It may dial at once; it accepts from Run on.
func NewEndpoint(cfg EndpointConfig) (*Endpoint, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{
		cfg: cfg, log: cfg.Logger, resetKey: cfg.Identity.ResetKey(),
		protocols: map[string]func(context.Context, *quic.Conn, string){},
		conns:     map[*quic.Conn]struct{}{},
	}
	e.transport = e.newTransport(cfg.Conn)
	e.metrics = newEndpointMetrics(cfg.Registerer, e)
	return e, nil
}

func (e *Endpoint) newTransport(conn net.PacketConn) *quic.Transport {
	return &quic.Transport{Conn: conn, ConnectionIDLength: 8, StatelessResetKey: &e.resetKey}
}

// Node is the id in this node's certificate.
func (e *Endpoint) Node() string { return e.cfg.Identity.Node() }

// handle gives the connections of a protocol to serve, which owns them. It must be called before Run.
func (e *Endpoint) handle(alpn string, serve func(ctx context.Context, conn *quic.Conn, peer string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listening {
		panic("link: protocol " + alpn + " came after Run")
	}
	e.protocols[alpn] = serve
}

// Run accepts connections until ctx is done, then closes all and the socket.
func (e *Endpoint) Run(ctx context.Context) error {
	e.mu.Lock()
	e.listening = true
	alpns := slices.Sorted(maps.Keys(e.protocols))
	e.mu.Unlock()
	defer e.close()
	listener, err := e.transport.Listen(e.cfg.Identity.ServerTLS(alpns...), quicConfig(acceptedUniStreams))
	if err != nil {
		return fmt.Errorf("listen for nodes at %s: %w", e.cfg.Conn.LocalAddr(), err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := listener.Accept(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept nodes at %s: %w", e.cfg.Conn.LocalAddr(), err)
		}
		state := conn.ConnectionState().TLS
		peer, err := pki.PeerNode(state)
		serve := e.protocols[state.NegotiatedProtocol]
		if err != nil || serve == nil || !e.track(conn, nil) {
			e.log.Warn("connection refused", "addr", conn.RemoteAddr(), "protocol", state.NegotiatedProtocol, "err", err)
			conn.CloseWithError(codeRefused, "not wanted")
			continue
		}
		serving.Go(func() {
			defer context.AfterFunc(ctx, func() { conn.CloseWithError(codeGoodbye, "the node ends") })()
			serve(ctx, conn, peer)
			conn.CloseWithError(codeGoodbye, "")
		})
	}
}

// close ends what is left, so that the peers hear of it at once and need not wait for silence.
func (e *Endpoint) close() {
	e.mu.Lock()
	e.closed = true
	conns := slices.Collect(maps.Keys(e.conns))
	e.mu.Unlock()
	for _, c := range conns {
		c.CloseWithError(codeGoodbye, "the node ends")
	}
	e.ending.Wait()
	e.transport.Close()
	e.cfg.Conn.Close()
}

// track remembers a connection until it ends, and runs then.
func (e *Endpoint) track(conn *quic.Conn, then func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.conns[conn] = struct{}{}
	e.ending.Add(1)
	context.AfterFunc(conn.Context(), func() {
		defer e.ending.Done()
		e.mu.Lock()
		delete(e.conns, conn)
		e.mu.Unlock()
		if then != nil {
			then()
		}
	})
	return true
}

func (e *Endpoint) count() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return float64(len(e.conns))
}

// dial opens a connection to a node. One for a stripe leaves through a socket of its own, if the endpoint can open any, and
// whoever receives its chunks gives their places back.
func (e *Endpoint) dial(ctx context.Context, node, alpn string, timeout time.Duration, stripe bool) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := e.dialNow(ctx, node, alpn, stripe)
	if err != nil {
		e.metrics.failed.Inc()
		return nil, fmt.Errorf("dial %s for %s: %w", node, alpn, err)
	}
	e.metrics.dialed.Inc()
	return conn, nil
}

func (e *Endpoint) dialNow(ctx context.Context, node, alpn string, stripe bool) (*quic.Conn, error) {
	addr, err := e.resolve(ctx, node)
	if err != nil {
		return nil, err
	}
	transport, cleanup := e.transport, func() {}
	if stripe && e.cfg.Listen != nil {
		socket, err := e.cfg.Listen()
		if err != nil {
			return nil, fmt.Errorf("open a socket: %w", err)
		}
		transport = e.newTransport(socket)
		cleanup = func() {
			transport.Close()
			socket.Close()
		}
	}
	cfg := quicConfig(dialedUniStreams)
	cfg.RequireStreamCreditRelease = stripe
	conn, err := transport.Dial(ctx, addr, e.cfg.Identity.ClientTLS(node, alpn), cfg)
	if err != nil {
		cleanup()
		return nil, err
	}
	if !e.track(conn, cleanup) {
		conn.CloseWithError(codeGoodbye, "the node ends")
		cleanup()
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (e *Endpoint) resolve(ctx context.Context, node string) (net.Addr, error) {
	addr, ok := e.cfg.Resolve(node)
	if !ok {
		return nil, ErrUnknownNode
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return net.UDPAddrFromAddrPort(ap), nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[0].Unmap(), uint16(port))), nil
}
