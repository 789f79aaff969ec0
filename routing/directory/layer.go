package directory

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// layer gives Raft its streams. An address is a node's id. It closes with itself all streams that it gave, because
// Raft leaves those that it accepted to the other side.
type layer struct {
	// Set by newLayer, never changed.
	node    string
	streams Streams

	mu sync.Mutex
	// Guarded by mu.
	open   map[*tracked]struct{}
	closed bool
}

func newLayer(node string, streams Streams) *layer {
	return &layer{node: node, streams: streams, open: map[*tracked]struct{}{}}
}

// Dial opens a stream to a voter.
func (l *layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := l.streams.Dial(ctx, string(address))
	if err != nil {
		return nil, fmt.Errorf("reach voter %s: %w", address, err)
	}
	return l.track(c)
}

// Accept waits for a stream from a voter.
func (l *layer) Accept() (net.Conn, error) {
	c, err := l.streams.Accept()
	if err != nil {
		return nil, err
	}
	return l.track(c)
}

// Close ends accepting and all streams.
func (l *layer) Close() error {
	l.mu.Lock()
	l.closed = true
	open := l.open
	l.open = map[*tracked]struct{}{}
	l.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
	return l.streams.Close()
}

// Addr is this node's id.
func (l *layer) Addr() net.Addr { return address(l.node) }

func (l *layer) track(c net.Conn) (net.Conn, error) {
	t := &tracked{Conn: c, layer: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.open[t] = struct{}{}
	return t, nil
}

type tracked struct {
	net.Conn
	layer *layer
}

// Close closes the stream.
func (t *tracked) Close() error {
	t.layer.mu.Lock()
	delete(t.layer.open, t)
	t.layer.mu.Unlock()
	return t.Conn.Close()
}

// address is a node's id as a network address.
type address string

// Network is a name for the kind of address.
func (a address) Network() string { return "node" }

// String is the node's id.
func (a address) String() string { return string(a) }
