package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/hashicorp/memberlist"
	"github.com/pion/webrtc/v4"
)

// socketBuffer is the kernel buffer asked for on media sockets, in bytes: a keyframe to 500 students fits. Linux grants
// at most net.core.rmem_max and wmem_max.
const socketBuffer = 4 << 20

// Sockets are the ways in and out of a node.
type Sockets struct {
	// HTTP and Admin are the listeners for people and for operators, without TLS.
	HTTP, Admin net.Listener
	// WebRTC are sockets of one port, one for each address that media is offered at.
	WebRTC []net.PacketConn
	// Mesh is the QUIC socket that other nodes dial; Stripe opens one more for an outgoing connection.
	Mesh   net.PacketConn
	Stripe func() (net.PacketConn, error)
	// Gossip carries gossip. Nil means UDP and TCP on the configured address.
	Gossip memberlist.Transport
	// Engine makes the settings that peer connections start from. Nil means those of this machine.
	Engine func() webrtc.SettingEngine
}

// OpenSockets opens the sockets that a configuration names.
func OpenSockets(cfg Config) (_ *Sockets, err error) {
	s := &Sockets{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.HTTP, err = listenTCP("http.listen", cfg.HTTP.Listen); err != nil {
		return nil, err
	}
	if s.Admin, err = listenTCP("admin.listen", cfg.Admin.Listen); err != nil {
		return nil, err
	}
	if s.Mesh, err = listenUDP("mesh.listen", cfg.Mesh.Listen); err != nil {
		return nil, err
	}
	local, _, err := net.SplitHostPort(cfg.Mesh.Listen)
	if err != nil {
		return nil, fmt.Errorf("mesh.listen: %w", err)
	}
	s.Stripe = func() (net.PacketConn, error) { return listenUDP("mesh.listen", net.JoinHostPort(local, "0")) }
	addrs, err := mediaAddresses(cfg.WebRTC.Listen)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		c, err := listenUDP("webrtc.listen", a.String())
		if err != nil {
			return nil, err
		}
		s.WebRTC = append(s.WebRTC, c)
	}
	return s, nil
}

// Close closes all sockets.
func (s *Sockets) Close() {
	for _, l := range []net.Listener{s.HTTP, s.Admin} {
		if l != nil {
			_ = l.Close()
		}
	}
	for _, c := range append([]net.PacketConn{s.Mesh}, s.WebRTC...) {
		if c != nil {
			_ = c.Close()
		}
	}
}

// mediaAddresses resolves the address that media is served at. An unspecified one stands for every address of this
// machine: a socket that is bound to one address costs a student one reader, a socket bound to all one for each.
func mediaAddresses(listen string) ([]netip.AddrPort, error) {
	udp, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("webrtc.listen: %w", err)
	}
	ap := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), udp.AddrPort().Port())
	if udp.IP != nil && !ap.Addr().IsUnspecified() {
		return []netip.AddrPort{ap}, nil
	}
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var public, loop []netip.AddrPort
	for _, i := range ifaces {
		p, err := netip.ParsePrefix(i.String())
		if err != nil || p.Addr().IsLinkLocalUnicast() || (udp.IP != nil && udp.IP.To4() != nil && !p.Addr().Unmap().Is4()) {
			continue
		}
		at := netip.AddrPortFrom(p.Addr().Unmap(), ap.Port())
		if p.Addr().IsLoopback() {
			loop = append(loop, at)
		} else {
			public = append(public, at)
		}
	}
	if len(public) == 0 {
		public = loop
	}
	if len(public) == 0 {
		return nil, errors.New("webrtc.listen: this machine has no address to offer; name one")
	}
	return public, nil
}

func listenTCP(key, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	return l, socketError(key, "TCP "+addr, err)
}

func listenUDP(key, addr string) (net.PacketConn, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	c, err := net.ListenUDP("udp", udp)
	if err != nil {
		return nil, socketError(key, "UDP "+addr, err)
	}
	_ = c.SetReadBuffer(socketBuffer) // the kernel grants what it may
	_ = c.SetWriteBuffer(socketBuffer)
	return c, nil
}

func socketError(key, addr string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: port %s is in use; end the program that uses it or choose another port", key, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not have the address of %s", key, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: this user may not listen at %s", key, addr)
	}
	return fmt.Errorf("%s: listen at %s: %w", key, addr, err)
}

// resolveAddr reads an address:port, or looks up the address of a host:port.
func resolveAddr(key, hostPort string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(hostPort); err == nil {
		return a, nil
	}
	udp, err := net.ResolveUDPAddr("udp", hostPort)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: %w", key, err)
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
