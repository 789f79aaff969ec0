package fan

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Fan. The zero value is ready.
type Config struct {
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
	// Logger is told when the kernel refuses trains; nil discards.
	Logger *slog.Logger
}

// Fan is the sockets that media leaves by, and the batches that wait to be filled.
type Fan struct {
	// Set by New, never changed.
	sockets []net.PacketConn
	conns   []*Conn
	idle    chan *Batch // batches between two uses; what does not fit is left to the garbage collector
	metrics *metrics
}

// New makes a fan over sockets. Those that are not UDP sockets of this machine pass through as they are: what is sent there
// is sent packet by packet by whoever owns them. Without any socket a fan still gives batches, and no path.
func New(cfg Config, sockets ...net.PacketConn) (*Fan, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fan{idle: make(chan *Batch, 2*runtime.GOMAXPROCS(0))}
	f.metrics = newMetrics(cfg.Registerer, f)
	for _, s := range sockets {
		if udp, ok := s.(*net.UDPConn); ok {
			c, err := newConn(udp, len(f.conns), cfg, f.metrics)
			if err != nil {
				return nil, fmt.Errorf("send media at %s: %w", udp.LocalAddr(), err)
			}
			f.conns = append(f.conns, c)
			s = c
		}
		f.sockets = append(f.sockets, s)
	}
	return f, nil
}

// Sockets are those given to New, in their order, each in the form in which it must be used from now on.
func (f *Fan) Sockets() []net.PacketConn { return f.sockets }

// Path is the way to one student: the socket it is known at and its address. It never changes.
type Path struct {
	conn *Conn
	to   netip.AddrPort
	raw  sockaddr
}

// Same reports whether two paths are one.
func (p *Path) Same(o *Path) bool { return p.conn == o.conn && p.to == o.to }

// Path finds the way from a local address to a remote one: by the socket that is bound to the local address, or by the only
// one of its family and port, because behind a 1:1 NAT the address that a student knows is not the bound one.
func (f *Fan) Path(local, remote netip.AddrPort) (*Path, bool) {
	if !remote.IsValid() || remote.Addr().Zone() != "" {
		return nil, false
	}
	var found *Conn
	fits := 0
	for _, c := range f.conns {
		if c.local == local {
			return c.path(remote), true
		}
		if c.local.Port() == local.Port() && c.reaches(remote.Addr()) {
			found = c
			fits++
		}
	}
	if fits != 1 {
		return nil, false
	}
	return found.path(remote), true
}

func (c *Conn) path(remote netip.AddrPort) *Path {
	return &Path{conn: c, to: remote, raw: c.sockaddr(remote)}
}

// Take gives a batch to fill. It belongs to the caller until Batch.Done.
func (f *Fan) Take() *Batch {
	select {
	case b := <-f.idle:
		return b
	default:
		return &Batch{fan: f, queues: make([]*queue, len(f.conns))}
	}
}

// Batch gathers packets for one flush. It is for one goroutine.
type Batch struct {
	fan    *Fan
	queues []*queue // one for each socket, nil until it is used
}

// queue returns the one for a path.
func (b *Batch) queue(p *Path) *queue {
	q := b.queues[p.conn.index]
	if q == nil {
		q = newQueue(p.conn)
		b.queues[p.conn.index] = q
	}
	return q
}

// Flush sends what was gathered, and what WebRTC connections have written to the sockets since the last flush.
func (b *Batch) Flush() {
	for _, q := range b.queues {
		if q != nil {
			q.flush()
		}
	}
	for _, c := range b.fan.conns {
		c.flush()
	}
}

// Done flushes and gives the batch back.
func (b *Batch) Done() {
	b.Flush()
	select {
	case b.fan.idle <- b:
	default:
	}
}
