package sim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// firstEphemeral is the first port that is given to sockets which ask for none (RFC 6335, section 6).
const firstEphemeral = 49152

// Host is one machine of a Network.
type Host struct {
	// Set by Network.Host, never changed.
	net  *Network
	name string
	addr netip.Addr

	// Guarded by mu.
	mu        sync.Mutex
	sockets   map[uint16]*PacketConn
	listeners map[uint16]*listener
	conns     map[*conn]struct{}
	ephemeral uint16
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// At returns "address:port" of a port of this host.
func (h *Host) At(port int) string { return netip.AddrPortFrom(h.addr, uint16(port)).String() }

// PacketConn opens a UDP socket; port 0 takes a free one. It ends the test when the port is in use.
func (h *Host) PacketConn(port int) *PacketConn {
	h.net.t.Helper()
	c, err := h.ListenPacket(port)
	if err != nil {
		h.net.t.Fatal(err)
	}
	return c
}

// Listen opens a listener in the manner of TCP; port 0 takes a free one. It ends the test when the port is in use.
func (h *Host) Listen(port int) net.Listener {
	h.net.t.Helper()
	l, err := h.ListenStream(port)
	if err != nil {
		h.net.t.Fatal(err)
	}
	return l
}

// ListenPacket is PacketConn with an error: syscall.EADDRINUSE when the port is in use.
func (h *Host) ListenPacket(port int) (*PacketConn, error) {
	return h.openPacketConn(port, netip.AddrPort{})
}

func (h *Host) openPacketConn(port int, remote netip.AddrPort) (*PacketConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := freePortLocked(h, h.sockets, port)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: udpAddr(netip.AddrPortFrom(h.addr, uint16(port))), Err: err}
	}
	c := newPacketConn(h, p, remote)
	h.sockets[p] = c
	return c, nil
}

// ListenStream is Listen with an error: syscall.EADDRINUSE when the port is in use.
func (h *Host) ListenStream(port int) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := freePortLocked(h, h.listeners, port)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: tcpAddr(netip.AddrPortFrom(h.addr, uint16(port))), Err: err}
	}
	l := newListener(h, p)
	h.listeners[p] = l
	return l, nil
}

// Dial connects to a listener of the network at "host:port", where host is a name, an address, or localhost for this
// host itself. It has the shape of net.Dialer.DialContext.
func (h *Host) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	ap, err := h.net.resolve(h, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return dial(ctx, h, ap)
}

// Client returns an HTTP client whose connections are made from this host. It uses no proxy and has no time-out.
func (h *Host) Client() *http.Client {
	t := &http.Transport{DialContext: h.Dial}
	h.net.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// Crash is what the death of a process does: all its sockets close. Peers of streams see a reset; over UDP nobody is
// told. The host's ports can be opened again at once. To take a whole machine away, use Network.Partition first.
func (h *Host) Crash() {
	h.mu.Lock()
	var all []interface{ abort() }
	for _, s := range h.sockets {
		all = append(all, s)
	}
	for _, l := range h.listeners {
		all = append(all, l)
	}
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	for _, a := range all {
		a.abort()
	}
}

// freePortLocked returns the port asked for, or the next free one for port 0.
func freePortLocked[S any](h *Host, used map[uint16]S, port int) (uint16, error) {
	if port != 0 {
		if port < 0 || port > 65535 {
			return 0, fmt.Errorf("%d is no port", port)
		}
		if _, taken := used[uint16(port)]; taken {
			return 0, syscall.EADDRINUSE
		}
		return uint16(port), nil
	}
	for range 65536 - firstEphemeral {
		p := h.nextPortLocked()
		if _, taken := used[p]; !taken {
			return p, nil
		}
	}
	return 0, syscall.EADDRINUSE
}

func (h *Host) nextPortLocked() uint16 {
	p := h.ephemeral
	if h.ephemeral++; h.ephemeral == 0 {
		h.ephemeral = firstEphemeral
	}
	return p
}

func splitHostPort(address string) (host string, port uint16, err error) {
	host, s, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q has no proper port", address)
	}
	return host, uint16(p), nil
}

func udpAddr(ap netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(ap) }
func tcpAddr(ap netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(ap) }
