//go:build !linux

package fan

import (
	"net"
	"net/netip"
)

// sockaddr is not needed where packets are sent one by one.
type sockaddr struct{}

type outgoing struct{}

// soonLooks means nothing where packets are waited for one by one.
const soonLooks = 0

// port is not there either: the socket itself is used.
type port struct {
	reading bool
	soon    int
}

func (*port) close() {}

func (*port) next() ([]byte, netip.AddrPort, error) { return nil, netip.AddrPort{}, net.ErrClosed }

func (*port) write([]byte, *sockaddr) error { return net.ErrClosed }

func (*outgoing) init(*queue) {}

// learn has nothing to ask: trains are not cut here.
func (c *Conn) learn() error {
	c.wide = c.local.Addr().IsUnspecified() || c.local.Addr().Is6()
	return nil
}

func (c *Conn) sockaddr(netip.AddrPort) sockaddr { return sockaddr{} }

// send sends the packets one by one.
func (q *queue) send() {
	for i := range q.messages {
		m := &q.messages[i]
		q.count.calls++
		if _, err := q.conn.WriteToUDPAddrPort(q.arena[m.from:m.from+m.size], m.path.to); err != nil {
			q.count.failed++
			continue
		}
		q.count.packets++
		q.count.messages++
	}
}
