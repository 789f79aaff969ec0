package sim

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// GossipTransport returns a transport for memberlist on a port, over UDP and streams; port 0 takes a free one. Shutdown
// ends it.
func (h *Host) GossipTransport(port int) memberlist.Transport {
	h.net.t.Helper()
	udp := h.PacketConn(port)
	g := &gossip{
		host: h, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		udp: udp, tcp: h.Listen(int(udp.local.Port())),
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.wg.Go(g.readPackets)
	g.wg.Go(g.acceptStreams)
	return g
}

// gossip hands over packets and streams one at a time; while memberlist is busy they wait in the sockets.
type gossip struct {
	// Set by GossipTransport, never changed.
	host    *Host
	udp     *PacketConn
	tcp     net.Listener
	packets chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

func (g *gossip) readPackets() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := g.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case g.packets <- p:
		case <-g.ctx.Done():
			return
		}
	}
}

func (g *gossip) acceptStreams() {
	for {
		c, err := g.tcp.Accept()
		if err != nil {
			return
		}
		select {
		case g.streams <- c:
		case <-g.ctx.Done():
			_ = c.Close()
			return
		}
	}
}

func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.host.addr.AsSlice(), int(g.udp.local.Port()), nil
}

func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := g.host.net.resolve(g.host, addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = g.udp.WriteToAddrPort(b, to)
	return time.Now(), err
}

func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	return g.host.Dial(ctx, "tcp", addr)
}

func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(a.Addr, timeout)
}

func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }
func (g *gossip) StreamCh() <-chan net.Conn           { return g.streams }

func (g *gossip) Shutdown() error {
	g.cancel()
	_ = g.udp.Close()
	_ = g.tcp.Close()
	g.wg.Wait()
	return nil
}
