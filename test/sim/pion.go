package sim

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

// SettingEngine returns pion settings under which a peer connection lives on this host: its sockets are the host's, its
// one interface has the host's address, and neither multicast DNS nor the kernel's interfaces are asked. Whoever serves
// many connections on one port adds SetICEUDPMux(ice.NewUDPMuxDefault) with a PacketConn of this host.
func (h *Host) SettingEngine() webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.SetNet(pionNet{h})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if h.addr.Is4() {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	} else {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
	}
	s.SetIncludeLoopbackCandidate(h.addr.IsLoopback())
	return s
}

// pionNet is what pion sees of a host: UDP, dialling, and one interface. It listens for no TCP.
type pionNet struct{ host *Host }

var (
	_ transport.Net     = pionNet{}
	_ transport.UDPConn = (*PacketConn)(nil)
)

func (p pionNet) ListenPacket(_, address string) (net.PacketConn, error) {
	_, port, err := splitHostPort(address)
	if err != nil {
		return nil, err
	}
	c, err := p.host.ListenPacket(int(port))
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p pionNet) ListenUDP(_ string, local *net.UDPAddr) (transport.UDPConn, error) {
	port := 0
	if local != nil {
		port = local.Port
	}
	c, err := p.host.ListenPacket(port)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p pionNet) DialUDP(_ string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	port := 0
	if local != nil {
		port = local.Port
	}
	at := remote.AddrPort()
	c, err := p.host.openPacketConn(port, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (p pionNet) Dial(network, address string) (net.Conn, error) {
	switch network {
	case "udp", "udp4", "udp6":
		a, err := p.ResolveUDPAddr(network, address)
		if err != nil {
			return nil, err
		}
		return p.DialUDP(network, nil, a)
	}
	return p.host.Dial(context.Background(), network, address)
}

func (p pionNet) ResolveUDPAddr(_, address string) (*net.UDPAddr, error) {
	ap, err := p.host.net.resolve(p.host, address)
	if err != nil {
		return nil, err
	}
	return udpAddr(ap), nil
}

func (p pionNet) ResolveTCPAddr(_, address string) (*net.TCPAddr, error) {
	ap, err := p.host.net.resolve(p.host, address)
	if err != nil {
		return nil, err
	}
	return tcpAddr(ap), nil
}

func (p pionNet) ResolveIPAddr(_, address string) (*net.IPAddr, error) {
	ap, err := p.host.net.resolve(p.host, net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, err
	}
	return &net.IPAddr{IP: ap.Addr().AsSlice()}, nil
}

func (p pionNet) ListenTCP(string, *net.TCPAddr) (transport.TCPListener, error) {
	return nil, transport.ErrNotSupported
}

func (p pionNet) DialTCP(string, *net.TCPAddr, *net.TCPAddr) (transport.TCPConn, error) {
	return nil, transport.ErrNotSupported
}

func (p pionNet) Interfaces() ([]*transport.Interface, error) {
	flags := net.FlagUp | net.FlagRunning
	if p.host.addr.IsLoopback() {
		flags |= net.FlagLoopback
	}
	i := transport.NewInterface(net.Interface{Index: 1, MTU: maxDatagram + headers, Name: "sim0", Flags: flags})
	bits := p.host.addr.BitLen()
	i.AddAddress(&net.IPNet{IP: p.host.addr.AsSlice(), Mask: net.CIDRMask(bits, bits)})
	return []*transport.Interface{i}, nil
}

func (p pionNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	all, err := p.Interfaces()
	if err != nil {
		return nil, err
	}
	if index != all[0].Index {
		return nil, fmt.Errorf("index %d: %w", index, transport.ErrInterfaceNotFound)
	}
	return all[0], nil
}

func (p pionNet) InterfaceByName(name string) (*transport.Interface, error) {
	all, err := p.Interfaces()
	if err != nil {
		return nil, err
	}
	if name != all[0].Name {
		return nil, fmt.Errorf("%s: %w", name, transport.ErrInterfaceNotFound)
	}
	return all[0], nil
}

func (p pionNet) CreateDialer(*net.Dialer) transport.Dialer { return p }

func (p pionNet) CreateListenConfig(*net.ListenConfig) transport.ListenConfig { return pionListener{p} }

type pionListener struct{ net pionNet }

func (l pionListener) Listen(_ context.Context, _, address string) (net.Listener, error) {
	_, port, err := splitHostPort(address)
	if err != nil {
		return nil, err
	}
	return l.net.host.ListenStream(int(port))
}

func (l pionListener) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	return l.net.ListenPacket(network, address)
}
