package sim

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// segmentSize is how much of a stream one packet carries, in bytes.
	segmentSize = 1400
	// window bounds what a stream has sent and its peer has not read yet, in bytes; a writer waits when it is full.
	window = 1 << 20
	// handshakeSize is the size of a packet that carries no data, in bytes.
	handshakeSize = 12
	// firstRepeat and lastRepeat bound the time after which a lost segment is sent again; it doubles between them.
	firstRepeat = 200 * time.Millisecond
	lastRepeat  = 4 * time.Second
	// dialTimeout is when a dial without an answer fails, as on Linux.
	dialTimeout = 127 * time.Second
	// backlog bounds the connections that wait for Accept; more are refused.
	backlog = 1024
)

// conn is one end of a stream in the manner of TCP: what is written arrives whole and in order, or a reset tells.
type conn struct {
	// Set by newConn, never changed.
	host          *Host
	local, remote netip.AddrPort
	out           *lane

	// Set before anyone has the connection, never changed. Guarded by mu until then.
	peer *conn

	// Guarded by mu.
	mu          sync.Mutex
	cond        *sync.Cond
	next        uint64             // the segment to be received next
	early       map[uint64]segment // segments received before their turn, bounded by the peer's window
	buf         []byte             // bytes for Read, bounded by the peer's window
	eof         bool               // the peer has closed
	sent        uint64             // the segment to be sent next
	inFlight    int                // bytes sent and not read by the peer
	finished    bool               // our end was announced
	closed      bool
	broken      error // a reset
	read, write deadline
}

type segment struct {
	number uint64
	data   []byte
	fin    bool
}

func newConn(h *Host, local, remote netip.AddrPort, out *lane) *conn {
	c := &conn{host: h, local: local, remote: remote, out: out, early: map[uint64]segment{}}
	c.cond = sync.NewCond(&c.mu)
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	return c
}

// dial makes a connection within one round trip, or more if the path loses the packets of the handshake.
func dial(ctx context.Context, h *Host, to netip.AddrPort) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: tcpAddr(to), Err: err}
	}
	far := h.net.find(h, to.Addr())
	if far == nil {
		return fail(syscall.EHOSTUNREACH)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, syscall.ETIMEDOUT)
	defer cancel()
	h.mu.Lock()
	local := netip.AddrPortFrom(h.addr, h.nextPortLocked())
	h.mu.Unlock()
	there, back := h.net.lane(h, far), h.net.lane(far, h)
	near := newConn(h, local, to, there)
	answer := make(chan error, 1)
	waiting := func() bool { return ctx.Err() == nil }
	insist(there, handshakeSize, firstRepeat, waiting, func() {
		far.mu.Lock()
		l := far.listeners[to.Port()]
		far.mu.Unlock()
		var err error = syscall.ECONNREFUSED
		if l != nil {
			c := newConn(far, to, local, back)
			c.peer = near
			if near.meet(c) && l.offer(c) {
				err = nil
			} else {
				c.forget()
			}
		}
		insist(back, handshakeSize, firstRepeat, waiting, func() { answer <- err })
	})
	select {
	case err := <-answer:
		if err != nil {
			near.forget()
			return fail(err)
		}
		return near, nil
	case <-ctx.Done():
		near.abort()
		return fail(context.Cause(ctx))
	}
}

// meet joins the dialling end to the other one, unless it has given up.
func (c *conn) meet(peer *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = peer
	return c.broken == nil
}

// insist sends until it gets through or wanted reports false.
func insist(l *lane, size int, after time.Duration, wanted func() bool, arrive func()) {
	if !wanted() || l.send(size, false, arrive) {
		return
	}
	time.AfterFunc(after, func() { insist(l, size, min(2*after, lastRepeat), wanted, arrive) })
}

// Read takes what has arrived.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.take(b)
	if n > 0 {
		c.peer.acknowledge(n)
	}
	return n, err
}

func (c *conn) take(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.read.passed:
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case len(c.buf) > 0:
			n := copy(b, c.buf)
			c.buf = c.buf[n:]
			return n, nil
		case c.broken != nil:
			return 0, c.fail("read", c.broken)
		case c.eof:
			return 0, io.EOF
		}
		c.cond.Wait()
	}
}

// Write sends b in segments and waits while the window is full.
func (c *conn) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		s, err := c.cutSegment(b[written:])
		if err != nil {
			return written, err
		}
		c.transmit(s)
		written += len(s.data)
	}
	return written, nil
}

// cutSegment takes the first segment of b as soon as the window has room for it.
func (c *conn) cutSegment(b []byte) (segment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed || c.finished:
			return segment{}, c.fail("write", net.ErrClosed)
		case c.broken != nil:
			return segment{}, c.fail("write", c.broken)
		case c.write.passed:
			return segment{}, c.fail("write", os.ErrDeadlineExceeded)
		case c.inFlight < window:
			s := segment{number: c.sent, data: append([]byte(nil), b[:min(len(b), segmentSize)]...)}
			c.sent++
			c.inFlight += len(s.data)
			return s, nil
		}
		c.cond.Wait()
	}
}

func (c *conn) transmit(s segment) {
	insist(c.out, len(s.data)+handshakeSize, firstRepeat, c.unbroken, func() { c.peer.receive(s) })
}

func (c *conn) unbroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken == nil
}

// receive takes a segment from the path and puts it in its place.
func (c *conn) receive(s segment) {
	c.mu.Lock()
	if c.closed || c.broken != nil {
		deaf := len(s.data) > 0
		c.mu.Unlock()
		if deaf { // as TCP does: data for nobody is answered by a reset
			c.sendReset()
		}
		return
	}
	c.early[s.number] = s
	for {
		s, ok := c.early[c.next]
		if !ok {
			break
		}
		delete(c.early, c.next)
		c.next++
		c.buf = append(c.buf, s.data...)
		c.eof = c.eof || s.fin
	}
	c.cond.Broadcast()
	c.mu.Unlock()
}

// acknowledge opens the window by what the peer has read.
func (c *conn) acknowledge(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight -= n
	c.cond.Broadcast()
}

// CloseWrite tells the peer that no more will come.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	if c.closed || c.finished || c.broken != nil {
		c.mu.Unlock()
		return c.fail("close", net.ErrClosed)
	}
	c.finished = true
	s := segment{number: c.sent, fin: true}
	c.sent++
	c.cond.Broadcast()
	c.mu.Unlock()
	c.transmit(s)
	return nil
}

// Close ends both directions; what was written still arrives.
func (c *conn) Close() error {
	_ = c.CloseWrite()
	c.mu.Lock()
	again := c.closed
	c.closeLocked()
	c.mu.Unlock()
	c.forget()
	if again {
		return c.fail("close", net.ErrClosed)
	}
	return nil
}

func (c *conn) closeLocked() {
	c.closed = true
	c.buf, c.early = nil, nil
	c.read.setLocked(c.cond, time.Time{})
	c.write.setLocked(c.cond, time.Time{})
	c.cond.Broadcast()
}

// abort ends the connection as the death of its process does.
func (c *conn) abort() {
	c.mu.Lock()
	c.broken = syscall.ECONNRESET
	c.closeLocked()
	c.mu.Unlock()
	c.forget()
	c.sendReset()
}

// sendReset breaks the peer, if the path lets the reset through; it is sent once.
func (c *conn) sendReset() {
	c.mu.Lock()
	p := c.peer
	c.mu.Unlock()
	if p == nil {
		return
	}
	c.out.send(handshakeSize, false, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.broken == nil {
			p.broken = syscall.ECONNRESET
			p.cond.Broadcast()
		}
	})
}

func (c *conn) forget() {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	delete(c.host.conns, c)
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: tcpAddr(c.local), Addr: tcpAddr(c.remote), Err: err}
}

// LocalAddr is a *net.TCPAddr.
func (c *conn) LocalAddr() net.Addr { return tcpAddr(c.local) }

// RemoteAddr is a *net.TCPAddr.
func (c *conn) RemoteAddr() net.Addr { return tcpAddr(c.remote) }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends waiting and future reads at a moment.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.setLocked(c.cond, t)
	return nil
}

// SetWriteDeadline ends waiting and future writes at a moment.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write.setLocked(c.cond, t)
	return nil
}

// listener hands over connections. When 1024 wait for Accept, more are refused.
type listener struct {
	// Set by newListener, never changed.
	host  *Host
	local netip.AddrPort

	// Guarded by mu.
	mu      sync.Mutex
	cond    *sync.Cond
	waiting []*conn
	closed  bool
}

func newListener(h *Host, port uint16) *listener {
	l := &listener{host: h, local: netip.AddrPortFrom(h.addr, port)}
	l.cond = sync.NewCond(&l.mu)
	return l
}

func (l *listener) offer(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.waiting) >= backlog {
		return false
	}
	l.waiting = append(l.waiting, c)
	l.cond.Signal()
	return true
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: tcpAddr(l.local), Err: net.ErrClosed}
		}
		l.cond.Wait()
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

// Close frees the port, wakes Accept and resets the connections that nobody has accepted.
func (l *listener) Close() error {
	l.host.mu.Lock()
	if l.host.listeners[l.local.Port()] == l {
		delete(l.host.listeners, l.local.Port())
	}
	l.host.mu.Unlock()
	l.mu.Lock()
	again, orphans := l.closed, l.waiting
	l.closed, l.waiting = true, nil
	l.cond.Broadcast()
	l.mu.Unlock()
	for _, c := range orphans {
		c.abort()
	}
	if again {
		return &net.OpError{Op: "close", Net: "tcp", Addr: tcpAddr(l.local), Err: net.ErrClosed}
	}
	return nil
}

func (l *listener) abort() { _ = l.Close() }

// Addr is a *net.TCPAddr.
func (l *listener) Addr() net.Addr { return tcpAddr(l.local) }
