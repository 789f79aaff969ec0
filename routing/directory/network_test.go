package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// network joins the directories of a test over loopback.
type network struct {
	mu    sync.Mutex
	addrs map[string]string // by node and protocol
	cut   map[string]bool
	heard map[string]bool // those that gossip knows; whether they live
	conns map[net.Conn][2]string
}

func newNetwork() *network {
	return &network{addrs: map[string]string{}, cut: map[string]bool{}, heard: map[string]bool{}, conns: map[net.Conn][2]string{}}
}

// hear lets gossip know a node that takes part, and lose that it died.
func (n *network) hear(node string) { n.setAlive(node, true) }
func (n *network) lose(node string) { n.setAlive(node, false) }

func (n *network) setAlive(node string, alive bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard[node] = alive
}

func (n *network) peers() (list []Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, alive := range n.heard {
		list = append(list, Peer{ID: id, Serves: true, Alive: alive})
	}
	return list
}

// isolate cuts a node off, or joins it again.
func (n *network) isolate(node string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[node] = cut
	for c, ends := range n.conns {
		if cut && (ends[0] == node || ends[1] == node) {
			_ = c.Close()
			delete(n.conns, c)
		}
	}
}

// streams is one node's end of one protocol.
type streams struct {
	net      *network
	node     string
	protocol string
	ln       net.Listener
}

func (n *network) streams(t testing.TB, node, protocol string) *streams {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	n.mu.Lock()
	n.addrs[node+" "+protocol] = ln.Addr().String()
	n.mu.Unlock()
	return &streams{n, node, protocol, ln}
}

func (s *streams) Dial(ctx context.Context, node string) (net.Conn, error) {
	s.net.mu.Lock()
	addr, cut := s.net.addrs[node+" "+s.protocol], s.net.cut[node] || s.net.cut[s.node]
	s.net.mu.Unlock()
	if cut || addr == "" {
		return nil, errors.New("no way there")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.net.conns[c] = [2]string{s.node, node}
	return c, nil
}

func (s *streams) Accept() (net.Conn, error) { return s.ln.Accept() }
func (s *streams) Close() error              { return s.ln.Close() }

// node is a directory that runs until the test ends or stop is called.
type node struct {
	*Directory
	id   string
	stop func()
}

// cluster is a test's nodes and their folders, which outlive them.
type cluster struct {
	net       *network
	voters    []string
	expect    int
	forget    time.Duration
	heartbeat time.Duration // 0 means one for tests
	dirs      map[string]string
}

func newCluster(voters ...string) *cluster {
	return &cluster{net: newNetwork(), voters: voters, dirs: map[string]string{}}
}

func (c *cluster) config(t testing.TB, id string) Config {
	t.Helper()
	if c.dirs[id] == "" {
		c.dirs[id] = t.TempDir()
	}
	return Config{
		Node: id, Cluster: "demo", Dir: c.dirs[id], Voters: c.voters, Heartbeat: cmp.Or(c.heartbeat, 150*time.Millisecond), CallTimeout: time.Second,
		Expect: c.expect, Peers: c.net.peers, Stable: 2 * time.Second, Forget: c.forget,
		Raft: c.net.streams(t, id, "raft/1"), Calls: c.net.streams(t, id, "directory/1"),
	}
}

func (c *cluster) start(t testing.TB, id string) *node {
	t.Helper()
	d, err := New(c.config(t, id))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run %s: %v", id, err)
		}
	})
	n := &node{Directory: d, id: id, stop: func() { cancel(); wg.Wait() }}
	t.Cleanup(n.stop)
	return n
}

func (c *cluster) startAll(t testing.TB) (nodes []*node) {
	t.Helper()
	for _, id := range c.voters {
		nodes = append(nodes, c.start(t, id))
	}
	return nodes
}

const patience = 20 * time.Second

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// shows waits until a node's view has become as wanted.
func (n *node) shows(t testing.TB, what string, wanted func() bool) {
	t.Helper()
	deadline := time.After(patience)
	// Not all that is waited for is a change of the rooms.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-n.Changed():
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s does not show %s but %+v of %+v", n.id, what, n.Rooms(), n.Status())
		}
	}
}

func (n *node) showsRoom(t testing.TB, want Room) {
	t.Helper()
	n.shows(t, fmt.Sprint(want), func() bool {
		r, _ := n.Room(want.Name)
		return r == want
	})
}

// leader waits for one of the nodes to lead and gives it and the others.
func leader(t testing.TB, nodes []*node) (lead *node, others []*node) {
	t.Helper()
	nodes[0].shows(t, "a leader", func() bool {
		lead, others = nil, nil
		for _, n := range nodes {
			if n.Status().Role == "leader" {
				lead = n
			} else {
				others = append(others, n)
			}
		}
		return lead != nil && len(others) == len(nodes)-1
	})
	return lead, others
}
