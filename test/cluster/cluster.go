package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/cmd/node"
	"lyceum/mesh/pki"
	"lyceum/routing/ticket"
	"lyceum/test/sim"
)

const name = "story"

// The ports of every node; hosts have addresses of their own.
const (
	portHTTP   = 80
	portAdmin  = 81
	portWebRTC = 82
	portMesh   = 83
	portGossip = 84
)

// within bounds every wait of a story, in the network's time.
const within = time.Minute

// Cluster is a mesh of nodes on a simulated network. All its nodes are voters.
type Cluster struct {
	t     testing.TB
	Net   *sim.Network
	Nodes []*Node

	dir       string
	authority *pki.Authority
	keys      *ticket.Keys
	people    int
}

// Node is one node of a Cluster, running or not.
type Node struct {
	ID   string
	Host *sim.Host

	c        *Cluster
	cfg      node.Config
	stop     func()
	ended    chan struct{}
	Registry *prometheus.Registry
}

// New starts nodes of the given names, joined by equal paths, and waits until all are ready. Each is in a region of its
// own, named like it, unless its name is written "region/name", and has the usual roles, unless they follow: "name:hub,edge".
func New(t testing.TB, path sim.Path, names ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Net: sim.New(t, path), dir: t.TempDir()}
	var err error
	if c.authority, err = pki.NewAuthority(name, 0); err != nil {
		t.Fatal(err)
	}
	ca, _ := c.authority.PEM()
	c.write("ca.pem", ca)
	tokens, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c.write("tokens.pem", tokens)
	if c.keys, err = ticket.ParseKeys(name, tokens); err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	c.write("gossip.key", []byte(base64.StdEncoding.EncodeToString(secret)))
	ids := make([]string, len(names))
	regions := make([]string, len(names))
	roles := make([][]string, len(names))
	for i, name := range names {
		name, list, some := strings.Cut(name, ":")
		if some {
			roles[i] = strings.Split(list, ",")
		}
		region, id, ok := strings.Cut(name, "/")
		if !ok {
			id = region
		}
		ids[i], regions[i] = id, region
	}
	for i, id := range ids {
		c.Nodes = append(c.Nodes, c.node(i, id, regions[i], roles[i], ids))
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	for _, n := range c.Nodes {
		c.Eventually("node "+n.ID+" is ready", func() bool { return n.call(http.MethodGet, "/readyz", "", nil) == nil })
	}
	return c
}

func (c *Cluster) write(file string, text []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.path(file), text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) path(file string) string { return filepath.Join(c.dir, file) }

func (c *Cluster) node(i int, id, region string, roles, voters []string) *Node {
	c.t.Helper()
	cert, key, err := c.authority.Issue(id, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(id+".pem", cert)
	c.write(id+".key", key)
	address := func(i int) string { return fmt.Sprintf("192.0.2.%d", 10+i) }
	at := func(port int) string { return fmt.Sprintf("%s:%d", address(i), port) }
	seeds := make([]string, len(voters))
	for j := range voters {
		seeds[j] = fmt.Sprintf("%s:%d", address(j), portGossip)
	}
	cfg := node.Config{
		Node: id, Cluster: name, Region: region, Roles: roles, Data: c.path(id),
		HTTP:      node.HTTP{Listen: at(portHTTP), URL: "http://" + at(portHTTP)},
		Admin:     node.Admin{Listen: at(portAdmin)},
		WebRTC:    node.WebRTC{Listen: at(portWebRTC)},
		Mesh:      node.Mesh{Listen: at(portMesh)},
		Gossip:    node.Gossip{Listen: at(portGossip), Key: c.path("gossip.key"), Seeds: seeds},
		Directory: node.Directory{Voters: voters},
		PKI:       node.PKI{Authority: c.path("ca.pem"), Certificate: c.path(id + ".pem"), Key: c.path(id + ".key")},
		Tokens:    node.Tokens{Keys: c.path("tokens.pem")},
	}.WithDefaults()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		c.t.Fatal(err)
	}
	return &Node{ID: id, Host: c.Net.Host(id, address(i)), c: c, cfg: cfg}
}

// Start runs the node. The test's end stops it.
func (n *Node) Start() {
	t := n.c.t
	t.Helper()
	n.Registry = prometheus.NewRegistry()
	sockets := &node.Sockets{
		HTTP: n.Host.Listen(portHTTP), Admin: n.Host.Listen(portAdmin),
		WebRTC: []net.PacketConn{n.Host.PacketConn(portWebRTC)}, Mesh: n.Host.PacketConn(portMesh),
		Stripe: func() (net.PacketConn, error) { return n.Host.ListenPacket(0) },
		Gossip: n.Host.GossipTransport(portGossip), Engine: n.Host.SettingEngine,
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: logLevel()})).With("at", n.ID)
	nd, err := node.New(n.cfg, sockets, node.Deps{Logger: log, Registry: n.Registry, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	n.stop, n.ended = func() { stop(node.ErrAtOnce) }, ended
	go func() {
		defer close(ended)
		if err := nd.Run(ctx); err != nil {
			log.Error("node failed", "err", err)
		}
	}()
	t.Cleanup(n.Stop)
}

// logLevel is how much of the nodes' logs a story shows.
func logLevel() slog.Level {
	if os.Getenv("LYCEUM_STORY_DEBUG") != "" {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Stop ends the node in order, without a grace for its people, and waits for it.
func (n *Node) Stop() {
	n.stop()
	<-n.ended
}

// Die ends the node as a crash would: nobody hears a word of it.
func (n *Node) Die() {
	n.c.Net.Partition(n.Host)
	n.Stop()
	n.Host.Crash()
	n.c.Net.HealPartition(n.Host)
}

// call sends a request to the node's admin listener and decodes the JSON answer.
func (n *Node) call(method, path, body string, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, method, "http://"+n.cfg.Admin.Listen+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	client := n.Host.Client()
	defer client.CloseIdleConnections()
	rsp, err := client.Do(rq)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil {
		return err
	}
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s at %s: %s: %s", method, path, n.ID, rsp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Open opens a room and waits until every node knows it.
func (c *Cluster) Open(room string) {
	c.t.Helper()
	if err := c.Nodes[0].call(http.MethodPost, "/v1/rooms", fmt.Sprintf(`{"name":%q}`, room), nil); err != nil {
		c.t.Fatal(err)
	}
	for _, n := range c.Nodes {
		c.Eventually(n.ID+" knows the room", func() bool { return n.Knows(room) })
	}
}

// Knows reports whether a node knows a room.
func (n *Node) Knows(room string) bool {
	var list node.RoomList
	return n.call(http.MethodGet, "/v1/rooms", "", &list) == nil && list.Has(room)
}

// Status is the node's own account of itself.
func (n *Node) Status() node.Status {
	n.c.t.Helper()
	var s node.Status
	if err := n.call(http.MethodGet, "/status", "", &s); err != nil {
		n.c.t.Fatal(err)
	}
	return s
}

// Carries reports how many tracks of a room a node holds.
func (n *Node) Carries(room string) (tracks int) {
	n.c.t.Helper()
	for _, t := range n.Status().Tracks {
		if t.Room == room {
			tracks++
		}
	}
	return tracks
}

// Tree is how a room's tracks reach its students, as this node sees it.
func (n *Node) Tree(room string) node.Tree {
	n.c.t.Helper()
	var t node.Tree
	if err := n.call(http.MethodGet, "/v1/rooms/"+room+"/tree", "", &t); err != nil {
		n.c.t.Fatal(err)
	}
	return t
}

// Members are the nodes of the mesh, as this one sees them.
func (n *Node) Members() []node.NodeInfo {
	n.c.t.Helper()
	var list node.NodeList
	if err := n.call(http.MethodGet, "/v1/nodes", "", &list); err != nil {
		n.c.t.Fatal(err)
	}
	return list.Nodes
}

// Route is a way between two regions.
type Route = node.Route

// Routes are the ways between regions, as this node knows them.
func (n *Node) Routes() []Route {
	n.c.t.Helper()
	var list node.RouteList
	if err := n.call(http.MethodGet, "/v1/routes", "", &list); err != nil {
		n.c.t.Fatal(err)
	}
	return list.Routes
}

// Parent is the node from which this one gets a room's tracks, as its own links have it.
func (n *Node) Parent(room string) string {
	n.c.t.Helper()
	for _, at := range n.Tree(room).Nodes {
		if at.ID == n.ID {
			return at.Parent
		}
	}
	return ""
}

// Eventually waits, in the network's time, until something holds.
func (c *Cluster) Eventually(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			c.t.Fatalf("after %v it does not hold that %s", within, what)
		}
		c.Wait(50 * time.Millisecond)
	}
}

// Wait lets the network's time pass.
func (c *Cluster) Wait(d time.Duration) { <-time.After(d) }
