package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var key = bytes.Repeat([]byte{7}, 32)

// node is a Gossip that runs until the test ends or stop is called.
type node struct {
	*Gossip
	load atomic.Pointer[Load]
	stop func()
}

func config(id string, seeds ...string) Config {
	self := Member{ID: id, Cluster: "demo", Region: "eu", URL: "http://" + id, Link: "127.0.0.1:1", Roles: Edge, Boot: uint64(time.Now().UnixMilli())}
	return Config{Self: self, Key: key, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Seeds: seeds, Rejoin: time.Second}
}

func start(t *testing.T, cfg Config) *node {
	t.Helper()
	n := &node{}
	n.load.Store(&Load{})
	cfg.Load = func() Load { return *n.load.Load() }
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Errorf("run %s: %v", cfg.Self.ID, err)
		}
	})
	n.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(n.stop)
	return n
}

// sees waits until a node's view has become as wanted.
func (n *node) sees(t *testing.T, what string, wanted func([]Member) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := n.Changed()
		if wanted(n.Members()) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s does not see %s but %+v", n.id, what, n.Members())
		}
	}
}

func alive(count int) func([]Member) bool {
	return func(members []Member) bool {
		n := 0
		for _, m := range members {
			if m.Alive {
				n++
			}
		}
		return n == count
	}
}

func member(id string, wanted func(Member) bool) func([]Member) bool {
	return func(members []Member) bool {
		for _, m := range members {
			if m.ID == id {
				return wanted(m)
			}
		}
		return false
	}
}

func TestThreeNodesKnowOneAnother(t *testing.T) {
	a := start(t, config("a"))
	b := start(t, config("b", a.Addr().String()))
	c := start(t, config("c", a.Addr().String(), "127.0.0.1:1"))
	all := []*node{a, b, c}
	for _, n := range all {
		n.sees(t, "three nodes", alive(3))
		if ms := n.Members(); ms[0].ID != "a" || ms[2].ID != "c" || ms[1].URL != "http://b" || ms[1].Gossip != b.Addr().String() {
			t.Fatalf("%s sees %+v", n.id, ms)
		}
	}

	b.load.Store(&Load{Sessions: 42, Limit: 100})
	a.SetDraining(true)
	for _, n := range all {
		n.sees(t, "the load of b", member("b", func(m Member) bool { return m.Load == Load{Sessions: 42, Limit: 100} }))
		n.sees(t, "that a drains", member("a", func(m Member) bool { return m.Draining }))
	}
	d := start(t, config("d", c.Addr().String()))
	d.sees(t, "the load of b at once", member("b", func(m Member) bool { return m.Load.Sessions == 42 }))
	d.sees(t, "that a drains", member("a", func(m Member) bool { return m.Draining }))
	a.SetDraining(false)
	d.sees(t, "that a drains no more", member("a", func(m Member) bool { return !m.Draining }))

	began := time.Now()
	b.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("leaving took %v", took)
	}
	for _, n := range []*node{a, c, d} {
		n.sees(t, "that b left", member("b", func(m Member) bool { return !m.Alive && m.Leaving }))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the others knew only after %v", took)
	}

	again := config("b", a.Addr().String())
	again.Self.Boot++
	b = start(t, again)
	for _, n := range []*node{a, c, d, b} {
		n.sees(t, "that b is back and idle", member("b", func(m Member) bool {
			return m.Alive && !m.Leaving && m.Load.Sessions == 0
		}))
	}
}

func TestRoundTripsAreMeasured(t *testing.T) {
	a := start(t, config("a"))
	b := start(t, config("b", a.Addr().String()))
	b.sees(t, "two nodes", alive(2))
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if rtt, ok := b.RTT("a"); ok {
			if rtt <= 0 || rtt > time.Second {
				t.Fatalf("a round trip on this machine takes %v", rtt)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("never measured")
		}
		<-tick.C
	}
}

func TestStrangersStayOut(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := config("a")
	cfg.Registerer = reg
	a := start(t, cfg)

	wrongKey := config("wrong-key", a.Addr().String())
	wrongKey.Key = bytes.Repeat([]byte{8}, 32)
	start(t, wrongKey)

	wrongLabel := config("wrong-label", a.Addr().String())
	wrongLabel.Label = "campus"
	start(t, wrongLabel)

	foreign := config("foreign", a.Addr().String())
	foreign.Self.Cluster, foreign.Label = "campus", "demo"
	start(t, foreign)

	// A member of the right cluster which describes itself in bytes that nobody understands.
	raw := memberlist.DefaultLANConfig()
	raw.Name, raw.BindAddr, raw.BindPort, raw.Label, raw.SecretKey = "raw", "127.0.0.1", 0, "demo", key
	raw.Logger = newLogger(slog.New(slog.DiscardHandler))
	list, err := memberlist.Create(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = list.Shutdown() }()
	if _, err := list.Join([]string{a.Addr().String()}); err != nil {
		t.Fatal(err)
	}

	friend := start(t, config("friend", a.Addr().String()))
	friend.sees(t, "a", alive(2))
	a.sees(t, "its friend", member("friend", func(m Member) bool { return m.Alive }))
	counted := func(reason string) float64 {
		return map[string]float64{
			"malformed":       testutil.ToFloat64(a.metrics.malformed),
			"foreign_cluster": testutil.ToFloat64(a.metrics.foreign),
		}[reason]
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); counted("malformed") == 0 || counted("foreign_cluster") == 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("malformed %v, foreign %v", counted("malformed"), counted("foreign_cluster"))
		}
	}
	if ms := a.Members(); len(ms) != 2 {
		t.Fatalf("a sees %+v", ms)
	}
}

func TestNodeJoinsWhenItsSeedComesLater(t *testing.T) {
	probe, err := New(config("probe"))
	if err != nil {
		t.Fatal(err)
	}
	addr := probe.Addr()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	b := start(t, config("b", addr.String()))
	late := config("a", addr.String())
	late.Bind = addr
	start(t, late)
	b.sees(t, "the late seed", alive(2))
}

func TestPortInUseIsAClearSentence(t *testing.T) {
	a := start(t, config("a"))
	cfg := config("b")
	cfg.Bind = a.Addr()
	_, err := New(cfg)
	want := fmt.Sprintf("gossip: cannot listen on %v", a.Addr())
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("%v", err)
	}
}

func TestConfigSpeaksToTheOperator(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"a key is required":           func(c *Config) { c.Key = nil },
		"has 5 bytes":                 func(c *Config) { c.Key = c.Key[:5] },
		"node id \"A\"":               func(c *Config) { c.Self.ID = "A" },
		"address to bind is required": func(c *Config) { c.Bind = netip.AddrPort{} },
		"cannot reach this node":      func(c *Config) { c.Advertise = netip.MustParseAddrPort("0.0.0.0:1") },
		"is not possible":             func(c *Config) { c.Rejoin = -1 },
	} {
		cfg := config("a")
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestMemberlistSpeaksThroughOurLog(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l.Print("[DEBUG] memberlist: quiet")
	l.Print("[ERR] memberlist: loud")
	if s := out.String(); !strings.Contains(s, `level=DEBUG msg="memberlist: quiet"`) || !strings.Contains(s, `level=WARN msg="memberlist: loud"`) {
		t.Fatal(s)
	}
}
