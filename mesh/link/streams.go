package link

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// dialTimeout bounds the dialling of a node for a stream: Raft's elections wait for it.
const dialTimeout = 1500 * time.Millisecond

// Streams gives one protocol its connections to other nodes: each is one bidirectional stream of a QUIC connection that
// is kept per node. A stream reaches the peer with the first byte that the dialler writes.
type Streams struct {
	// Set by Endpoint.Streams, never changed.
	endpoint *Endpoint
	alpn     string
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	accepted chan net.Conn

	mu sync.Mutex
	// Guarded by mu.
	peers map[string]*peerConn
}

// peerConn is the cached connection to one node. Its lock is held while the node is dialled, so that a node that does
// not answer holds up nobody who dials another.
type peerConn struct {
	lock chan struct{}
	conn *quic.Conn // guarded by lock
}

// Streams makes the streams of a protocol. It must be called before Run, and once for each protocol.
func (e *Endpoint) Streams(alpn string) *Streams {
	s := &Streams{endpoint: e, alpn: alpn, accepted: make(chan net.Conn), peers: map[string]*peerConn{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	e.handle(alpn, s.serve)
	return s
}

// Dial opens a stream to a node.
func (s *Streams) Dial(ctx context.Context, node string) (net.Conn, error) {
	if s.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.peer(node).get(ctx, func() (*quic.Conn, error) {
		conn, err := s.endpoint.dial(ctx, node, s.alpn, dialTimeout, false)
		if err == nil {
			stop := context.AfterFunc(s.ctx, func() { conn.CloseWithError(codeGoodbye, "") })
			context.AfterFunc(conn.Context(), func() { stop() })
		}
		return conn, err
	})
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a stream to %s for %s: %w", node, s.alpn, err)
	}
	stream.SetPriority(0, true)
	return &streamConn{Stream: stream, conn: conn}, nil
}

func (s *Streams) peer(node string) *peerConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[node]
	if p == nil {
		p = &peerConn{lock: make(chan struct{}, 1)}
		s.peers[node] = p
	}
	return p
}

func (p *peerConn) get(ctx context.Context, dial func() (*quic.Conn, error)) (*quic.Conn, error) {
	select {
	case p.lock <- struct{}{}:
		defer func() { <-p.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.conn != nil && p.conn.Context().Err() == nil {
		return p.conn, nil
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	p.conn = conn
	return conn, nil
}

// Accept returns the next stream that another node opened, and net.ErrClosed after Close.
func (s *Streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends Accept and all connections of the protocol.
func (s *Streams) Close() error {
	s.cancel()
	return nil
}

// serve hands out the streams of one connection. One that nobody accepts waits, and those behind it wait in QUIC, which
// bounds them.
func (s *Streams) serve(ctx context.Context, conn *quic.Conn, _ string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for {
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		stream.SetPriority(0, true)
		select {
		case s.accepted <- &streamConn{Stream: stream, conn: conn}:
		case <-ctx.Done():
			return
		}
	}
}

// streamConn is a QUIC stream as a net.Conn.
type streamConn struct {
	*quic.Stream
	conn *quic.Conn
}

func (c *streamConn) LocalAddr() net.Addr  { return c.conn.LocalAddr() }
func (c *streamConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Close ends both directions; quic-go's own Close ends only what is written.
func (c *streamConn) Close() error {
	c.CancelRead(0)
	return c.Stream.Close()
}
