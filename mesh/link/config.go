package link

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/wire"
)

// EndpointConfig configures an Endpoint.
type EndpointConfig struct {
	// Conn is the bound UDP socket that other nodes dial. The endpoint closes it.
	Conn net.PacketConn
	// Listen opens one more local socket, for a stripe that this node dials. Stripes on sockets of their own take
	// different ways through routers and network cards that balance by port. Nil sends all through Conn.
	Listen func() (net.PacketConn, error)
	// Identity proves who this node is, and whom it talks to.
	Identity *pki.Identity
	// Resolve tells the host:port of a node.
	Resolve func(node string) (addr string, ok bool)
	// Logger is for changes of state; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

// Validate reports what is missing.
func (c *EndpointConfig) Validate() error {
	switch {
	case c.Conn == nil:
		return errors.New("the endpoint of links needs a bound UDP socket")
	case c.Identity == nil:
		return errors.New("the endpoint of links needs the node's identity")
	case c.Resolve == nil:
		return errors.New("the endpoint of links needs a way to find the address of a node")
	}
	return nil
}

// LinksConfig configures Links.
type LinksConfig struct {
	// Endpoint dials and accepts.
	Endpoint *Endpoint
	// Router says where a room's tracks come from.
	Router Router
	// Node is this node's id, the one in the endpoint's identity.
	Node string
	// Boot is when this process started, in milliseconds since the Unix epoch. It must differ between two runs.
	Boot uint64
	// Stripes is the number of QUIC connections of a link that this node dials, 2 to 16. 0 lets the number follow the
	// demand and the way: 4 at first, 2 to 16 later, 32 where losses leave so little to each that 16 do not do.
	Stripes int
	// Heartbeat is the time between two heartbeats; after three missed ones a link is given up. 0 means 200 ms.
	Heartbeat time.Duration
	// Late is how long after its arrival here a packet may still be sent, besides the round trip that a repair takes.
	// 0 means 400 ms.
	Late time.Duration
	// Version is the newest version of the protocol that this node speaks, wire.Oldest to wire.Version. 0 means wire.Version.
	// Anything else is for tests of nodes of different releases in one class.
	Version uint64
	// Idle is how long a link without subscriptions is kept. 0 means 30 s.
	Idle time.Duration
	// Admit is asked when one more node wants to get a room from this one, besides those that do: its tracks from one origin,
	// whatever their names. It returns the nodes that the child has to ask instead, the best first, or none if it may come. It
	// must neither block nor call the links. Nil admits all.
	Admit func(track media.TrackID, child string, children []string) (elsewhere []string)
	// Clock is this host's clock as heartbeats tell it. Nil means time.Now; anything else is for tests of hosts whose clocks
	// differ.
	Clock func() time.Time
	// Logger is for changes of state; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

const (
	minStripes   = 2
	startStripes = 4  // of a link whose demand is not known yet
	manyStripes  = 16 // the most that are configured, or needed where losses do not shrink the windows
	maxStripes   = 32
)

// Validate reports what is missing or out of bounds.
func (c *LinksConfig) Validate() error {
	switch {
	case c.Endpoint == nil || c.Router == nil:
		return errors.New("links need an endpoint and a router")
	case c.Node != c.Endpoint.Node():
		return fmt.Errorf("this node is called %q, but its certificate says %q", c.Node, c.Endpoint.Node())
	case c.Stripes != 0 && (c.Stripes < minStripes || c.Stripes > manyStripes):
		return fmt.Errorf("a link has %d to %d stripes, not %d", minStripes, manyStripes, c.Stripes)
	case c.Version != 0 && (c.Version < wire.Oldest || c.Version > wire.Version):
		return fmt.Errorf("this node speaks versions %d to %d of the links' protocol, not %d", wire.Oldest, wire.Version, c.Version)
	case c.Heartbeat < 0 || c.Late < 0 || c.Idle < 0:
		return errors.New("the times of links must not be negative")
	}
	return nil
}

func (c *LinksConfig) fill() {
	if c.Heartbeat == 0 {
		c.Heartbeat = 200 * time.Millisecond
	}
	if c.Version == 0 {
		c.Version = wire.Version
	}
	if c.Late == 0 {
		c.Late = 400 * time.Millisecond
	}
	if c.Idle == 0 {
		c.Idle = 30 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Router says where tracks come from. Its answers are cheap: they are asked for at every change.
type Router interface {
	// Next is the node to get a track from, on the way to its origin: the room's home, or the node that the track names. The
	// error says why there is none. The nodes to avoid have failed or are about to leave: one of them is named only where no
	// other can take its place.
	Next(track media.TrackID, avoid []string) (Hop, error)
	// Changed returns a channel that is closed when any answer may have changed.
	Changed() <-chan struct{}
	// Epoch is the highest epoch of a room that this node knows, 0 for none. Whoever comes with a lower one is refused.
	Epoch(room string) uint64
}

// Hop is the next node on the way to a track's origin.
type Hop struct {
	// Self is true at the origin.
	Self bool
	// Node is the node to subscribe at.
	Node string
	// Standby is the node to subscribe at when that one fails, "" for none.
	Standby string
	// Epoch is the room's epoch that this answer belongs to.
	Epoch uint64
}

// maxDepth is the most hops between a node and a home: a node so far away has no children.
const maxDepth = 4

// quicConfig has the settings of a connection. A chunk has at most 12 KB, so that windows per stream are small; the
// limit for streams is what the peer may have open towards us.
func quicConfig(uniStreams int64) *quic.Config {
	return &quic.Config{
		Versions:             []quic.Version{quic.Version1},
		HandshakeIdleTimeout: 5 * time.Second,
		// Heartbeats notice a lost peer much sooner.
		MaxIdleTimeout:  10 * time.Second,
		KeepAlivePeriod: 2 * time.Second,
		// InitialPacketSize stays at its default of 1280, which falls back to 1200 on narrow ways.
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
		MaxIncomingUniStreams:            uniStreams,
		MaxIncomingStreams:               64,
		InitialStreamReceiveWindow:       256 << 10,
		MaxStreamReceiveWindow:           2 << 20,
		InitialConnectionReceiveWindow:   4 << 20,
		MaxConnectionReceiveWindow:       16 << 20,
	}
}

// Chunks come from the dialled side: quic-go's default of 100 open streams stalls video, and a node that dials us has no
// chunks to send.
const (
	dialedUniStreams   = 4096
	acceptedUniStreams = 16
)
