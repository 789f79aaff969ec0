package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"lyceum/edge"
	"lyceum/edge/fan"
	"lyceum/geo"
	"lyceum/mesh/gossip"
	"lyceum/mesh/link"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
	"lyceum/origin"
	"lyceum/routing"
	"lyceum/routing/directory"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// Deps are what a node is given besides its configuration.
type Deps struct {
	// Logger takes the logs. Nil discards them.
	Logger *slog.Logger
	// Registry takes the metrics and is served at /metrics. Nil makes a new one.
	Registry *prometheus.Registry
	// Version is told to other nodes and to operators.
	Version string
}

// Node is a running or startable Lyceum node.
type Node struct {
	// Set by New, never changed.
	cfg      Config
	deps     Deps
	log      *slog.Logger
	sockets  *Sockets
	boot     time.Time
	closeMux func() error
	fileKey  []byte        // the key in gossip.key
	secure   *listenerPair // of the public listener; nil without a certificate
	identity *pki.Identity
	keys     *ticket.Keys
	desk     *ticket.Desk
	locator  *geo.Locator
	proxies  []netip.Prefix
	gossip   *gossip.Gossip
	endpoint *link.Endpoint
	links    *link.Links
	hub      *relay.Hub
	rooms    *directory.Directory
	table    *routing.Table
	assigner routing.Assigner
	origin   *origin.Origin
	edge     *edge.Edge
	peers    *peers
	drain    drainer
	counts   counts
	whip     *wish.Handler
	whep     *wish.Handler
	public   http.Handler
	admin    http.Handler
}

// New assembles a node from a valid configuration and open sockets. It takes the sockets over: Run closes them, and New
// does if it fails.
func New(cfg Config, sockets *Sockets, deps Deps) (_ *Node, err error) {
	n := &Node{cfg: cfg, sockets: sockets, boot: time.Now()}
	defer func() {
		if err != nil {
			n.abandon()
		}
	}()
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Registry == nil {
		deps.Registry = prometheus.NewRegistry()
	}
	n.deps, n.log = deps, deps.Logger
	// Each part is given those before it. Gossip tells the others of this node from its beginning, so it comes late.
	for _, step := range []func() error{
		n.openIdentity, n.openTokens, n.openTLS, n.openGeo, n.openLinks, n.openDirectory, n.openMedia, n.openGossip, n.openHTTP,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// abandon gives back what a New that fails has opened.
func (n *Node) abandon() {
	if n.gossip != nil {
		_ = n.gossip.Close()
	}
	if n.closeMux != nil {
		_ = n.closeMux()
	}
	if n.locator != nil {
		_ = n.locator.Close()
	}
	n.sockets.Close()
}

// openIdentity reads who this node is.
func (n *Node) openIdentity() (err error) {
	c := n.cfg.PKI
	if n.identity, err = pki.LoadIdentity(c.Authority, c.Certificate, c.Key); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if n.identity.Cluster() != n.cfg.Cluster {
		return fmt.Errorf("pki: certificate %s is of cluster %s, and this node is of cluster %s; "+
			"issue one with the authority of %s", c.Certificate, n.identity.Cluster(), n.cfg.Cluster, n.cfg.Cluster)
	}
	if n.identity.Node() != n.cfg.Node {
		return fmt.Errorf("pki: certificate %s is of node %s, and this node is %s", c.Certificate, n.identity.Node(), n.cfg.Node)
	}
	return nil
}

// openTokens reads what tokens this node believes, and whom it believes about where a request is from.
func (n *Node) openTokens() (err error) {
	if n.keys, err = ticket.LoadKeys(n.cfg.Cluster, n.cfg.Tokens.Keys); err != nil {
		return fmt.Errorf("tokens.keys: %w", err)
	}
	if !n.keys.CanSign() {
		return fmt.Errorf("tokens.keys: %s holds no private key, and nodes sign tickets for one another", n.cfg.Tokens.Keys)
	}
	n.desk = ticket.NewDesk(n.keys, n.cfg.Node, ticket.DeskConfig{Registerer: n.deps.Registry})
	for _, p := range n.cfg.HTTP.Proxies {
		n.proxies = append(n.proxies, netip.MustParsePrefix(p).Masked()) // Validate has parsed it
	}
	return nil
}

func (n *Node) openGeo() (err error) {
	cfg := geo.Config{Database: n.cfg.Geo.Database, Logger: n.log}
	for _, c := range n.cfg.Geo.Campuses {
		campus := geo.Campus{
			Name: c.Name, Point: geo.Point{Lat: c.Place.Latitude, Lon: c.Place.Longitude}, Region: c.Region, Nodes: c.Nodes,
		}
		for _, p := range c.Prefixes {
			campus.Prefixes = append(campus.Prefixes, netip.MustParsePrefix(p)) // Validate has parsed it
		}
		cfg.Campuses = append(cfg.Campuses, campus)
	}
	if n.locator, err = geo.New(cfg); err != nil {
		return fmt.Errorf("geo: %w", err)
	}
	return nil
}

func (n *Node) openGossip() (err error) {
	if n.fileKey, err = ReadGossipKey(n.cfg.Gossip.Key); err != nil {
		return fmt.Errorf("gossip.key: %w", err)
	}
	keys := keysToUse(n.rooms.Keys(), n.fileKey)
	cfg := gossip.Config{
		Self: gossip.Member{
			ID: n.cfg.Node, Cluster: n.cfg.Cluster, Region: n.cfg.Region, Version: n.deps.Version,
			Place: geo.Point{Lat: n.cfg.Place.Latitude, Lon: n.cfg.Place.Longitude},
			Roles: n.roles(n.rooms.Serves()), URL: n.cfg.HTTP.URL, Link: n.cfg.Mesh.Advertise, Boot: uint64(n.boot.UnixMilli()),
		},
		Key: keys[0], Accept: keys[1:], Transport: n.sockets.Gossip, Seeds: n.cfg.Gossip.Seeds, Load: n.load, Loss: n.links.Loss,
		Logger: n.log, Registerer: n.deps.Registry,
	}
	if cfg.Transport == nil {
		if cfg.Bind, err = resolveAddr("gossip.listen", n.cfg.Gossip.Listen); err != nil {
			return err
		}
	}
	if cfg.Advertise, err = resolveAddr("gossip.advertise", n.cfg.Gossip.Advertise); err != nil {
		return err
	}
	if n.gossip, err = gossip.New(cfg); err != nil {
		return socketError("gossip.listen", n.cfg.Gossip.Listen, err)
	}
	return nil
}

func (n *Node) openLinks() (err error) {
	n.endpoint, err = link.NewEndpoint(link.EndpointConfig{
		Conn: n.sockets.Mesh, Listen: n.sockets.Stripe, Identity: n.identity,
		Resolve: func(node string) (string, bool) {
			m, ok := n.gossip.Member(node)
			return m.Link, ok && m.Link != ""
		},
		Logger: n.log, Registerer: n.deps.Registry,
	})
	if err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	return nil
}

func (n *Node) openDirectory() (err error) {
	n.rooms, err = directory.New(directory.Config{
		Node: n.cfg.Node, Cluster: n.cfg.Cluster, Dir: filepath.Join(n.cfg.Data, "directory"),
		Voters: n.cfg.Directory.Voters, Expect: n.cfg.Directory.Expect, Peers: n.directoryPeers,
		Raft: n.endpoint.Streams("raft/1"), Calls: n.endpoint.Streams("directory/1"),
		Logger: n.log, Registerer: n.deps.Registry,
	})
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	n.table = routing.NewTable(routing.TableConfig{
		Node: n.cfg.Node, Rooms: n.rooms, Logger: n.log, Registerer: n.deps.Registry,
	})
	return nil
}

func (n *Node) openMedia() error {
	n.links = link.NewLinks(link.LinksConfig{
		Endpoint: n.endpoint, Router: n.table, Node: n.cfg.Node, Boot: uint64(n.boot.UnixMilli()),
		Stripes: n.cfg.Mesh.Stripes, Admit: n.table.Admit, Load: n.busy, Logger: n.log, Registerer: n.deps.Registry,
	})
	n.hub = relay.NewHub(relay.Config{Feeder: n.links, Logger: n.log, Registerer: n.deps.Registry})
	out, err := fan.New(fan.Config{Logger: n.log, Registerer: n.deps.Registry}, n.sockets.WebRTC...)
	if err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	engine, closeMux, err := newEngine(n.sockets, out.Sockets(), n.cfg.WebRTC.Addresses)
	if err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	n.closeMux = closeMux
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("webrtc: make a key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return fmt.Errorf("webrtc: make a certificate: %w", err)
	}
	n.origin, err = origin.New(origin.Config{
		Hub: n.hub, Engine: engine, Certificate: cert, Logger: n.log, Registerer: n.deps.Registry,
	})
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	n.edge, err = edge.New(edge.Config{
		Hub: n.hub, Engine: engine, Fan: out, Certificate: cert, MaxSubscribers: n.cfg.Seats, Logger: n.log, Registerer: n.deps.Registry,
	})
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return nil
}

// Run serves until ctx is done, gives its people their grace to go elsewhere unless the cause is ErrAtOnce, then ends all
// sessions and what New opened. When one part fails or ends by itself, the others end too.
func (n *Node) Run(asked context.Context) error {
	defer n.sockets.Close()
	defer n.closeMux()
	defer n.locator.Close()
	serving, end := context.WithCancel(context.WithoutCancel(asked))
	defer end()
	g, ctx := errgroup.WithContext(serving)
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-asked.Done():
			defer end()
			if !errors.Is(context.Cause(asked), ErrAtOnce) {
				n.depart(ctx)
			}
		}
		return nil
	})
	// The links let the children go elsewhere without a gap, which takes the tracks and the connections.
	linked, part := context.WithCancel(context.WithoutCancel(ctx))
	defer part()
	for name, run := range map[string]func(context.Context) error{
		"gossip": n.gossip.Run, "directory": n.rooms.Run,
		"mesh":  func(context.Context) error { return n.endpoint.Run(linked) },
		"relay": func(context.Context) error { return n.hub.Run(linked) },
		"links": func(ctx context.Context) error {
			defer part()
			return n.links.Run(ctx, n.hub)
		},
		"origin": n.origin.Run, "edge": n.edge.Run, "peers": n.peers.Run, "certificates": n.renewCertificates, "keys": n.followKeys,
		"drain":   n.followDrain,
		"routing": func(ctx context.Context) error { return n.table.Run(ctx, n.gossip) },
		"rooms":   n.followRooms, "memory": giveBack,
		"http":  func(ctx context.Context) error { return n.serve(ctx, n.sockets.HTTP, n.public, n.secure.config()) },
		"admin": func(ctx context.Context) error { return n.serve(ctx, n.sockets.Admin, n.admin, nil) },
	} {
		g.Go(func() error {
			err := run(ctx)
			switch {
			case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
				return nil
			case err == nil:
				return fmt.Errorf("%s ended by itself", name)
			}
			return fmt.Errorf("%s: %w", name, err)
		})
	}
	n.log.Info("node is up", "node", n.cfg.Node, "region", n.cfg.Region, "url", n.cfg.HTTP.URL, "admin", n.cfg.Admin.Listen)
	err := g.Wait()
	n.whip.Close()
	n.whep.Close()
	n.log.Info("node has ended", "node", n.cfg.Node)
	return err
}

// roles are what the others may use this node for; one that serves the directory says so too.
func (n *Node) roles(serves bool) gossip.Roles {
	var r gossip.Roles
	for name, role := range roles {
		if slices.Contains(n.cfg.Roles, name) {
			r |= role
		}
	}
	if serves {
		r |= gossip.Voter
	}
	return r
}

// directoryPeers are the other nodes as the directory wants to know them.
func (n *Node) directoryPeers() []directory.Peer {
	var list []directory.Peer
	for _, m := range n.gossip.Members() {
		if m.ID != n.cfg.Node {
			list = append(list, directory.Peer{ID: m.ID, Serves: m.Roles.Has(gossip.Voter), Alive: m.Alive})
		}
	}
	return list
}

func (n *Node) load() gossip.Load {
	return gossip.Load{Sessions: n.edge.Sessions(), Limit: n.cfg.Seats}
}

// busy is the load as heartbeats tell it: thousandths of the seats.
func (n *Node) busy() uint16 {
	l := n.load()
	return uint16(min(1000, 1000*l.Sessions/max(1, l.Limit)))
}

// ReadGossipKey reads a file that lyceum pki init has made.
func ReadGossipKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err // it names the file
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold 32 bytes in base64; lyceum pki init makes such a file", path)
	}
	return key, nil
}
