package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Gossip.
type Config struct {
	// Self is this node as the others shall see it. Gossip, Leaving, Load and Alive are filled in.
	Self Member
	// Key encrypts all gossip and must be the same 16, 24 or 32 bytes on every node. It is required: whoever can gossip
	// is trusted.
	Key []byte
	// Accept are other keys in which the gossip of others is understood; SetKeys changes all.
	Accept [][]byte
	// Label is a mark on every packet by which clusters that meet by mistake ignore one another; "" means the cluster's id.
	Label string
	// Bind is the address that gossip listens on, over UDP and TCP; port 0 takes a free one. Unused with a Transport.
	Bind netip.AddrPort
	// Advertise is the address at which the others reach this node; zero means Bind, or this machine's private address
	// where Bind is unspecified.
	Advertise netip.AddrPort
	// Transport carries the gossip; nil means UDP and TCP on Bind. Run shuts it down.
	Transport memberlist.Transport
	// Seeds are host:port of nodes to join. They are tried for ever; this node itself may be among them.
	Seeds []string
	// Load tells how busy this node is. It is asked every second and must not block; nil means always idle.
	Load func() Load
	// Loss tells the share of the packets from this node to another that did not arrive of late, 0 to 1, if it is known. It is
	// asked every 5 s and must not block; nil means that it never is.
	Loss func(node string) (share float64, known bool)
	// Rejoin is how often seeds that are not among the living are tried again, so that a healed partition is found; 0
	// means 30 s.
	Rejoin time.Duration
	// Logger is for changes of state; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

// Validate tells in the operator's words what is wrong with a configuration.
func (c *Config) Validate() error {
	if err := checkMeta(&c.Self); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if len(c.Key) == 0 {
		return errors.New("gossip: a key is required, the same on every node")
	}
	for _, key := range append([][]byte{c.Key}, c.Accept...) {
		if err := memberlist.ValidateKey(key); err != nil {
			return fmt.Errorf("gossip: the key has %d bytes and must have 16, 24 or 32", len(key))
		}
	}
	if c.Transport == nil && !c.Bind.IsValid() {
		return errors.New("gossip: an address to bind is required")
	}
	if c.Advertise.IsValid() && (c.Advertise.Addr().IsUnspecified() || c.Advertise.Port() == 0) {
		return fmt.Errorf("gossip: the others cannot reach this node at %v", c.Advertise)
	}
	if c.Rejoin < 0 {
		return fmt.Errorf("gossip: rejoin every %v is not possible", c.Rejoin)
	}
	return nil
}

// profile is memberlist's configuration. A crash is seen after some 7 s and a leave after 0.2 s; memberlist's own
// profile for wide areas needs 30 s and more.
func (g *Gossip) profile() *memberlist.Config {
	c := memberlist.DefaultWANConfig()
	c.Name = g.id
	c.Label = g.cfg.Label
	c.Keyring = g.keyring
	c.Transport = g.transport
	c.AdvertiseAddr, c.AdvertisePort = "", 0
	if a := g.cfg.Advertise; a.IsValid() {
		c.AdvertiseAddr, c.AdvertisePort = a.Addr().String(), int(a.Port())
	}
	c.BindPort = int(g.cfg.Bind.Port()) // the port of a seed that names none
	c.ProbeInterval = time.Second
	c.ProbeTimeout = 600 * time.Millisecond
	c.SuspicionMult = 4
	c.GossipInterval = 200 * time.Millisecond
	c.GossipNodes = 4
	c.PushPullInterval = time.Minute
	c.TCPTimeout = 5 * time.Second
	c.DeadNodeReclaimTime = 30 * time.Second
	c.UDPBufferSize = 1350
	c.RequireNodeNames = false // a seed is known by its address only
	d := delegate{g}
	c.Delegate, c.Events, c.Alive, c.Conflict, c.Ping = d, d, d, d, d
	c.Logger = newLogger(g.log)
	return c
}
