package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// SeedVariable is the environment variable that chooses the seed of all chance in a Network, to repeat a failure.
const SeedVariable = "SIM_SEED"

// aftermath is how long a bubble's clock goes on after everything is closed. memberlist.Shutdown does not wait for the
// probe that is under way, which ends by its own deadline some seconds later, and pion's timers are like that: without
// this time a bubble would call them deadlocked. It costs no real time.
const aftermath = 2 * time.Minute

// Network is a set of hosts and the paths between them.
type Network struct {
	// Set by New, never changed.
	t    testing.TB
	path Path
	seed uint64
	done chan struct{}
	wg   sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	hosts  map[netip.Addr]*Host
	names  map[string]*Host
	lanes  map[pair]*lane
	closed bool
}

// bubble reports whether it is called inside a testing/synctest bubble, and waits there until all others are blocked.
func bubble() (inside bool) {
	defer func() { _ = recover() }() // outside a bubble Wait panics
	synctest.Wait()
	return true
}

type pair struct{ from, to *Host }

// New returns an empty network. Pairs of hosts that SetPath does not name are joined by the path given here. The
// network is closed, with all its sockets, when the test ends; a test that failed then tells its seed.
func New(t testing.TB, path Path) *Network {
	t.Helper()
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name()))
	seed := h.Sum64()
	if s := os.Getenv(SeedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s is %q, which is not a number from 0 to 2^64-1", SeedVariable, s)
		}
	}
	n := &Network{
		t: t, path: path, seed: seed, done: make(chan struct{}),
		hosts: map[netip.Addr]*Host{}, names: map[string]*Host{}, lanes: map[pair]*lane{},
	}
	t.Cleanup(func() {
		n.Close()
		if bubble() {
			<-time.After(aftermath)
		}
		if t.Failed() {
			t.Logf("the simulated network's chance was seeded by %s=%d", SeedVariable, seed)
		}
	})
	return n
}

// Close closes every socket of every host and ends all that the network started. It may be called more than once.
func (n *Network) Close() {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	hosts := make([]*Host, 0, len(n.hosts))
	for _, h := range n.hosts {
		hosts = append(hosts, h)
	}
	n.mu.Unlock()
	if !first {
		return
	}
	for _, h := range hosts {
		h.Crash()
	}
	close(n.done)
	n.wg.Wait()
}

// Host adds a host. Both its name and its address can be dialled.
func (n *Network) Host(name, addr string) *Host {
	n.t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		n.t.Fatalf("the host %s has no proper address: %v", name, err)
	}
	a = a.Unmap()
	h := &Host{
		net: n, name: name, addr: a,
		sockets: map[uint16]*PacketConn{}, listeners: map[uint16]*listener{}, conns: map[*conn]struct{}{},
		ephemeral: firstEphemeral,
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[a] != nil || n.names[name] != nil {
		n.t.Fatalf("there is a host with the name %s or the address %s already", name, addr)
	}
	n.hosts[a], n.names[name] = h, h
	return h
}

// SetPath changes the path between two hosts, in both directions. What is on its way keeps its time of arrival.
func (n *Network) SetPath(a, b *Host, p Path) {
	n.SetPathOneWay(a, b, p)
	n.SetPathOneWay(b, a, p)
}

// SetPathOneWay changes the path of what one host sends to another.
func (n *Network) SetPathOneWay(from, to *Host, p Path) {
	l := n.lane(from, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = p
}

// Cut makes everything between two hosts vanish from now on, in both directions and in silence.
func (n *Network) Cut(a, b *Host) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay makes everything that one host sends to another vanish from now on.
func (n *Network) CutOneWay(from, to *Host) { n.lane(from, to).setCut(true) }

// Heal undoes Cut and CutOneWay.
func (n *Network) Heal(a, b *Host) {
	n.lane(a, b).setCut(false)
	n.lane(b, a).setCut(false)
}

// Partition cuts every path between the hosts given and all others; inside each of the two groups nothing changes.
func (n *Network) Partition(group ...*Host) { n.eachAcross(group, n.Cut) }

// HealPartition undoes Partition of the same group.
func (n *Network) HealPartition(group ...*Host) { n.eachAcross(group, n.Heal) }

func (n *Network) eachAcross(group []*Host, f func(a, b *Host)) {
	inside := map[*Host]bool{}
	for _, h := range group {
		inside[h] = true
	}
	n.mu.Lock()
	var outside []*Host
	for _, h := range n.hosts {
		if !inside[h] {
			outside = append(outside, h)
		}
	}
	n.mu.Unlock()
	for _, a := range group {
		for _, b := range outside {
			f(a, b)
		}
	}
}

// Traffic tells what one host has sent to another.
func (n *Network) Traffic(from, to *Host) Traffic {
	l := n.lane(from, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.traffic
}

func (l *lane) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// lane returns the way from one host to another. The way from a host to itself is perfect until SetPath.
func (n *Network) lane(from, to *Host) *lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := pair{from, to}
	l := n.lanes[key]
	if l == nil {
		path := n.path
		if from == to {
			path = Path{}
		}
		h := fnv.New64a()
		_, _ = fmt.Fprint(h, from.name, ">", to.name)
		l = newLane(path, rand.New(rand.NewPCG(n.seed, h.Sum64())))
		n.lanes[key] = l
		if !n.closed {
			n.wg.Go(func() { l.run(n.done) })
		}
	}
	return l
}

// find returns the host that has an address as seen from another host, or nil. Loopback is the host itself.
func (n *Network) find(from *Host, a netip.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[a.Unmap()]; h != nil {
		return h
	}
	if a.IsLoopback() {
		return from
	}
	return nil
}

// resolve reads "host:port", where host is a name or an address.
func (n *Network) resolve(from *Host, address string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	name, port, err := splitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if name == "localhost" || name == "" {
		return netip.AddrPortFrom(from.addr, port), nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.names[name]; h != nil {
		return netip.AddrPortFrom(h.addr, port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("no host of the simulated network is called %q", name)
}
