package sim

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// socketBuffer bounds what waits in a socket for its reader, in bytes.
const socketBuffer = 4 << 20

// PacketConn is a UDP socket. A datagram that arrives when 4 MiB wait already is dropped and counted as Overflow.
//
// It has the methods of *net.UDPConn that quic-go and pion look for, without SyscallConn: so both take their plain paths
// and no kernel is asked for anything.
type PacketConn struct {
	// Set by newPacketConn, never changed.
	host   *Host
	local  netip.AddrPort
	remote netip.AddrPort // of a connected socket, else zero

	// Guarded by mu.
	mu      sync.Mutex
	cond    *sync.Cond
	waiting []datagram
	bytes   int
	closed  bool
	read    deadline
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

func newPacketConn(h *Host, port uint16, remote netip.AddrPort) *PacketConn {
	c := &PacketConn{host: h, local: netip.AddrPortFrom(h.addr, port), remote: remote}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// ReadFromAddrPort takes the next datagram. What does not fit into b is lost.
func (c *PacketConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, netip.AddrPort{}, c.fail("read", net.ErrClosed)
		case c.read.passed:
			return 0, netip.AddrPort{}, c.fail("read", os.ErrDeadlineExceeded)
		case len(c.waiting) > 0:
			d := c.waiting[0]
			c.waiting[0] = datagram{}
			c.waiting = c.waiting[1:]
			c.bytes -= len(d.data)
			return copy(b, d.data), d.from, nil
		}
		c.cond.Wait()
	}
}

// WriteToAddrPort sends a datagram. Nothing blocks and nothing tells whether it arrives.
func (c *PacketConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return 0, c.fail("write", net.ErrClosed)
	case len(b) > maxDatagram:
		return 0, c.fail("write", fmt.Errorf("%d bytes do not fit into a packet of the simulated network: %w",
			len(b), syscall.EMSGSIZE))
	}
	host := c.host.net.find(c.host, to.Addr())
	if host == nil {
		return len(b), nil // as in the world: nobody answers
	}
	l := c.host.net.lane(c.host, host)
	d := datagram{from: c.local, data: append([]byte(nil), b...)}
	l.send(len(b), true, func() { host.receive(l, d, to.Port()) })
	return len(b), nil
}

// receive puts a datagram before the reader of a port.
func (h *Host) receive(l *lane, d datagram, port uint16) {
	h.mu.Lock()
	c := h.sockets[port]
	h.mu.Unlock()
	if c == nil || (c.remote.IsValid() && c.remote != d.from) {
		l.count(func(t *Traffic) { t.Unheard++ })
		return
	}
	if !c.take(d) {
		l.count(func(t *Traffic) { t.Overflow++ })
	}
}

func (c *PacketConn) take(d datagram) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes+len(d.data) > socketBuffer {
		return false
	}
	c.bytes += len(d.data)
	c.waiting = append(c.waiting, d)
	c.cond.Signal()
	return true
}

// Close frees the port and wakes the readers.
func (c *PacketConn) Close() error {
	c.host.mu.Lock()
	if c.host.sockets[c.local.Port()] == c {
		delete(c.host.sockets, c.local.Port())
	}
	c.host.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.waiting = nil
	c.read.setLocked(c.cond, time.Time{})
	c.cond.Broadcast()
	return nil
}

func (c *PacketConn) abort() { _ = c.Close() }

func (c *PacketConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: udpAddr(c.local), Err: err}
}

// LocalAddr returns the host's address and the port, a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return udpAddr(c.local) }

// RemoteAddr returns the peer of a connected socket, else nil.
func (c *PacketConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return udpAddr(c.remote)
}

// SetReadDeadline ends waiting and future reads at a moment.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.setLocked(c.cond, t)
	return nil
}

// SetDeadline is SetReadDeadline: writes never wait.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes never wait.
func (c *PacketConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer does nothing: the buffer has 4 MiB.
func (c *PacketConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing: what is written leaves at once.
func (c *PacketConn) SetWriteBuffer(int) error { return nil }

// ReadFrom is ReadFromAddrPort for net.PacketConn; the address is a *net.UDPAddr.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, udpAddr(from), nil
}

// ReadFromUDP is ReadFrom with the address's type.
func (c *PacketConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, udpAddr(from), nil
}

// ReadMsgUDP is ReadFromUDP; there are no control messages.
func (c *PacketConn) ReadMsgUDP(b, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, addr, err = c.ReadFromUDP(b)
	return n, 0, 0, addr, err
}

// Read is ReadFrom without the address.
func (c *PacketConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(b)
	return n, err
}

// WriteTo is WriteToAddrPort for net.PacketConn; the address must be a *net.UDPAddr.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.fail("write", fmt.Errorf("%v is not a UDP address", to))
	}
	return c.WriteToAddrPort(b, a.AddrPort())
}

// WriteToUDP is WriteTo with the address's type.
func (c *PacketConn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return c.WriteToAddrPort(b, to.AddrPort())
}

// WriteMsgUDP is WriteToUDP, or Write when there is no address; there are no control messages.
func (c *PacketConn) WriteMsgUDP(b, _ []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if to == nil {
		n, err = c.Write(b)
	} else {
		n, err = c.WriteToUDP(b, to)
	}
	return n, 0, err
}

// Write sends to the peer of a connected socket.
func (c *PacketConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.fail("write", syscall.EDESTADDRREQ)
	}
	return c.WriteToAddrPort(b, c.remote)
}
