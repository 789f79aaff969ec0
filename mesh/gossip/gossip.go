package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	loadEvery    = time.Second      // how often our own load is looked at
	refreshEvery = 10 * time.Second // how often it is told although it is the same, for those who missed it
	forgetAfter  = 5 * time.Minute  // how long a dead member is remembered
	maxMembers   = 4096             // far beyond where gossip of this kind works well
	leaveWithin  = 2 * time.Second
)

// Gossip is this node's view of the cluster.
type Gossip struct {
	// Set by New, never changed.
	id        string
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	transport memberlist.Transport
	keyring   *memberlist.Keyring              // has a lock of its own
	queue     *memberlist.TransmitLimitedQueue // has a lock of its own
	poke      chan struct{}                    // our own meta changed; capacity 1

	mu sync.Mutex
	// Guarded by mu.
	members map[string]*entry // this node is always among them
	changed chan struct{}     // closed at the next change

	// Owned by Run.
	list     *memberlist.Memberlist
	toldWays time.Time // when this node's row was told last
}

// entry is what is known of a member. Its fields are guarded by Gossip.mu.
type entry struct {
	Member
	number uint64        // of the newest news
	rows   uint64        // the number of the newest row
	ways   []way         // that row; replaced, never changed
	rtt    time.Duration // smoothed; 0: never measured
	died   time.Time     // while not alive
}

// New opens the sockets and makes a view that knows only this node. Run joins it to the others.
func New(cfg Config) (*Gossip, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Label == "" {
		cfg.Label = cfg.Self.Cluster
	}
	if cfg.Load == nil {
		cfg.Load = func() Load { return Load{} }
	}
	if cfg.Loss == nil {
		cfg.Loss = func(string) (float64, bool) { return 0, false }
	}
	if cfg.Rejoin == 0 {
		cfg.Rejoin = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Seeds = slices.Clone(cfg.Seeds)
	g := &Gossip{
		id: cfg.Self.ID, cfg: cfg, log: cfg.Logger, transport: cfg.Transport, poke: make(chan struct{}, 1),
		members: map[string]*entry{}, changed: make(chan struct{}),
	}
	var err error
	if g.keyring, err = memberlist.NewKeyring(cfg.Accept, cfg.Key); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.queue = &memberlist.TransmitLimitedQueue{RetransmitMult: 4, NumNodes: g.living}
	if g.transport == nil {
		t, err := listen(cfg.Bind, newLogger(g.log))
		if err != nil {
			return nil, fmt.Errorf("gossip: %w", err)
		}
		g.transport = t
	}
	self := &entry{Member: cfg.Self}
	self.Alive, self.Leaving, self.Load = true, false, cfg.Load()
	advertised, port := "", 0
	if a := cfg.Advertise; a.IsValid() {
		advertised, port = a.Addr().String(), int(a.Port())
	}
	ip, port, err := g.transport.FinalAdvertiseAddr(advertised, port)
	if err != nil {
		_ = g.Close()
		return nil, fmt.Errorf("gossip: no address at which the others could reach this node, set one to advertise: %w", err)
	}
	self.Gossip = net.JoinHostPort(ip.String(), strconv.Itoa(port))
	g.members[g.id] = self
	g.metrics = newMetrics(cfg.Registerer, g)
	return g, nil
}

// Close gives back the sockets of a Gossip that is not going to Run.
func (g *Gossip) Close() error { return abandon(g.transport) }

// Addr is the address at which the others reach this node's gossip.
func (g *Gossip) Addr() netip.AddrPort {
	m, _ := g.Member(g.id)
	a, _ := netip.ParseAddrPort(m.Gossip)
	return a
}

// Members lists every known node, this one among them, in the order of their ids. Those that died some minutes ago are
// still there, not alive.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Member, 0, len(g.members))
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		list = append(list, g.members[id].Member)
	}
	return list
}

// Member tells what is known of one node.
func (g *Gossip) Member(id string) (Member, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.members[id]
	if e == nil {
		return Member{}, false
	}
	return e.Member, true
}

// RTT is the smoothed round trip time to a node, as far as it has been measured.
func (g *Gossip) RTT(id string) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.members[id]
	if e == nil || e.rtt == 0 {
		return 0, false
	}
	return e.rtt, true
}

// Changed is closed at the next change of what Members says; ask for it before Members, and again after each change.
func (g *Gossip) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Keys are the keys that are understood, the first of them used. The caller must not change them.
func (g *Gossip) Keys() [][]byte { return slices.Clone(g.keyring.GetKeys()) }

// SetKeys makes keys the ones that are understood, and the first of them the one that is used from now on.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("gossip: a key is required")
	}
	for _, key := range keys {
		if err := g.keyring.AddKey(key); err != nil {
			return fmt.Errorf("gossip: add a key: %w", err)
		}
	}
	if err := g.keyring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("gossip: use a key: %w", err)
	}
	for _, old := range slices.Clone(g.keyring.GetKeys()) {
		if !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, old) }) {
			if err := g.keyring.RemoveKey(old); err != nil {
				return fmt.Errorf("gossip: remove a key: %w", err)
			}
		}
	}
	return nil
}

// SetDraining tells the others whether this node wants no new sessions and children.
func (g *Gossip) SetDraining(draining bool) {
	g.mu.Lock()
	self := g.members[g.id]
	differs := self.Draining != draining
	self.Draining = draining
	if differs {
		g.changedLocked()
	}
	g.mu.Unlock()
	if differs {
		select {
		case g.poke <- struct{}{}:
		default:
		}
	}
}

// Run takes part in the gossip until ctx is done, then takes leave of the others within two seconds.
func (g *Gossip) Run(ctx context.Context) error {
	list, err := memberlist.Create(g.profile())
	if err != nil {
		_ = g.Close()
		return fmt.Errorf("gossip: begin: %w", err)
	}
	g.list = list
	var wg sync.WaitGroup
	wg.Go(func() { g.join(ctx) })

	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	g.tell(g.cfg.Load(), false)
	told, looked := time.Now(), time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-g.poke:
			if err := list.UpdateNode(time.Second); err != nil {
				g.log.Debug("gossip: nobody heard of the change yet", "err", err)
			}
		case now := <-tick.C:
			self, _ := g.Member(g.id)
			if load := g.cfg.Load(); load != self.Load || now.Sub(told) >= refreshEvery {
				g.tell(load, false)
				told = now
			}
			if now.Sub(looked) >= waysEvery {
				g.tellWays(now)
				looked = now
			}
			g.forget(now)
		}
	}
	err = g.leave()
	wg.Wait()
	return err
}

// leave announces that this node leaves before it does, because the others could not tell leaving from a crash.
func (g *Gossip) leave() error {
	deadline := time.Now().Add(leaveWithin)
	self, _ := g.Member(g.id)
	g.tell(self.Load, true)
	g.mu.Lock()
	news := appendNews(nil, new(g.members[g.id].news()))
	g.mu.Unlock()
	// To each at once, besides the rounds of gossip: a busy node may not get through enough of them before it is gone.
	for _, m := range g.list.Members() {
		if m.Name != g.id {
			_ = g.list.SendBestEffort(m, news) // whoever does not hear it hears it from another
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for half := deadline.Add(-leaveWithin / 2); g.living() > 1 && g.queue.NumQueued() > 0 && time.Now().Before(half); {
		<-tick.C
	}
	err := g.list.Leave(time.Until(deadline))
	if err != nil {
		g.log.Info("gossip: nobody heard the goodbye", "err", err)
	}
	if err := g.list.Shutdown(); err != nil {
		return fmt.Errorf("gossip: end: %w", err)
	}
	return nil
}

// tell makes news of this node's load.
func (g *Gossip) tell(load Load, leaving bool) {
	g.mu.Lock()
	self := g.members[g.id]
	self.number++
	if self.Load != load || self.Leaving != leaving {
		self.Load, self.Leaving = load, leaving
		g.changedLocked()
	}
	n := self.news()
	g.mu.Unlock()
	g.spread(n)
}

// spread queues news. The queue holds at most one message of each member: newer news replace older ones, and a message
// is dropped when it has been sent often enough for everybody to have heard of it.
func (g *Gossip) spread(n news) {
	g.queue.QueueBroadcast(broadcast{id: n.id, message: appendNews(nil, &n)})
}

// forget drops those who died some minutes ago.
func (g *Gossip) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, e := range g.members {
		if !e.Alive && now.Sub(e.died) > forgetAfter {
			delete(g.members, id)
			g.changedLocked()
		}
	}
}

func (e *entry) news() news {
	return news{id: e.ID, boot: e.Boot, number: e.number, leaving: e.Leaving, load: e.Load}
}

func (g *Gossip) changedLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// living counts the members that are alive.
func (g *Gossip) living() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, e := range g.members {
		if e.Alive {
			n++
		}
	}
	return n
}

// livingAt tells whether a living member other than this one, or this one itself, gossips at an address.
func (g *Gossip) livingAt(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.members {
		if e.Alive && strings.EqualFold(e.Gossip, addr) {
			return true
		}
	}
	return false
}
