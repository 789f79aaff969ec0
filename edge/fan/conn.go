package fan

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a packet that a WebRTC connection has written waits for a flush at most. Whoever writes many
// flushes at once; only a lone packet waits so long.
const patience = 2 * time.Millisecond

// Conn is a UDP socket that many WebRTC connections share. Media and reports that they write are gathered and leave with the
// next flush; what keeps a connection alive (STUN, DTLS) leaves at once.
type Conn struct {
	*net.UDPConn

	// Set by newConn, never changed.
	index   int // of its queue in a batch
	local   netip.AddrPort
	raw     syscall.RawConn
	wide    bool // an IPv6 socket, which takes IPv6 addresses alone
	metrics *metrics
	log     *slog.Logger

	port    port
	trains  atomic.Bool // the kernel cuts trains
	waiting atomic.Bool // something is gathered

	earsMu sync.RWMutex
	// Guarded by earsMu.
	ears map[netip.AddrPort]*Ear

	mu sync.Mutex
	// Guarded by mu.
	gathered *queue
	timer    *time.Timer
}

func newConn(udp *net.UDPConn, index int, cfg Config, m *metrics) (*Conn, error) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the socket: %w", err)
	}
	c := &Conn{UDPConn: udp, index: index, raw: raw, metrics: m, log: cfg.Logger, ears: map[netip.AddrPort]*Ear{}}
	if at, ok := udp.LocalAddr().(*net.UDPAddr); ok {
		p := at.AddrPort()
		c.local = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	if err := c.learn(); err != nil {
		return nil, err
	}
	return c, nil
}

// reaches reports whether the socket can send to an address.
func (c *Conn) reaches(a netip.Addr) bool {
	if c.local.Addr().IsUnspecified() && c.wide {
		return true
	}
	return a.Unmap().Is4() == c.local.Addr().Is4()
}

// ReadFromAddrPort reads a packet that is for a WebRTC connection: all but the RTCP that an ear listens to. It is for one
// goroutine.
func (c *Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		if !c.port.reading {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil || !c.heard(b[:n], from) {
				return n, from, err
			}
			continue
		}
		packet, from, err := c.port.next()
		if err != nil || !c.heard(packet, from) {
			return copy(b, packet), from, err
		}
	}
}

// heard gives RTCP to the ear of its sender, if there is one. Who has none and sends what is not media connects.
func (c *Conn) heard(b []byte, from netip.AddrPort) bool {
	c.earsMu.RLock()
	e := c.ears[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]
	c.earsMu.RUnlock()
	if e == nil {
		if len(b) > 0 && b[0]>>6 != 2 {
			c.port.soon = soonLooks
		}
		return false
	}
	if !isControl(b) {
		return false
	}
	e.take(b, c.metrics)
	return true
}

// WriteToAddrPort sends a packet, or gathers it if it is RTP or RTCP. What becomes of what is gathered is counted and not told.
func (c *Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if to.Addr().Zone() != "" || !c.port.reading && (!isGathered(b) || len(b) > MaxPacket) {
		return c.WriteToUDPAddrPort(b, to)
	}
	if !isGathered(b) || len(b) > MaxPacket {
		raw := c.sockaddr(to)
		if err := c.port.write(b, &raw); err != nil {
			return 0, fmt.Errorf("send to %s: %w", to, err)
		}
		return len(b), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gathered == nil {
		c.gathered = newQueue(c)
		c.timer = time.AfterFunc(patience, c.flush)
	} else if len(c.gathered.messages) == 0 {
		c.timer.Reset(patience)
	}
	c.waiting.Store(true)
	p := Path{conn: c, to: to, raw: c.sockaddr(to)}
	c.gathered.add(&p, copy(c.gathered.room(), b))
	return len(b), nil
}

// isGathered tells RTP and RTCP from what else shares a socket: STUN and DTLS (RFC 7983).
func isGathered(b []byte) bool { return len(b) >= 8 && b[0]>>6 == 2 }

// isControl tells RTCP from RTP (RFC 5761).
func isControl(b []byte) bool {
	return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223
}

// flush sends what is gathered.
func (c *Conn) flush() {
	if !c.waiting.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting.Store(false)
	c.gathered.flush()
}

// Close closes the socket. What is still gathered is sent before.
func (c *Conn) Close() error {
	c.flush()
	c.port.close()
	return c.UDPConn.Close()
}
