package sim

import (
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

func mustResolve(t *testing.T, h *Host, address string) netip.AddrPort {
	t.Helper()
	ap, err := h.net.resolve(h, address)
	if err != nil {
		t.Fatal(err)
	}
	return ap
}

func gossiper(t *testing.T, h *Host, seeds ...string) *memberlist.Memberlist {
	t.Helper()
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.Label = h.Name(), "test"
	conf.Transport = h.GossipTransport(7946)
	conf.SecretKey = []byte("0123456789abcdef")
	conf.LogOutput = io.Discard
	m, err := memberlist.Create(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Shutdown() })
	if len(seeds) > 0 {
		if _, err := m.Join(seeds); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// eventually waits until a fact holds and returns how long that took.
func eventually(t *testing.T, within time.Duration, what string, fact func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !fact() {
		if time.Since(start) > within {
			t.Fatalf("after %v %s", within, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

func TestGossipFindsTheLivingAndTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 30 * time.Millisecond, Loss: 0.01})
		fra, sin, iad := n.Host("fra", "192.0.2.1"), n.Host("sin", "192.0.2.2"), n.Host("iad", "192.0.2.3")
		a := gossiper(t, fra)
		b := gossiper(t, sin, fra.At(7946))
		c := gossiper(t, iad, sin.At(7946))
		all := []*memberlist.Memberlist{a, b, c}
		know := func(count int, who ...*memberlist.Memberlist) func() bool {
			return func() bool {
				for _, m := range who {
					if m.NumMembers() != count {
						return false
					}
				}
				return true
			}
		}
		eventually(t, 10*time.Second, "not every node knows three", know(3, all...))

		// A healed partition is forgotten before anyone is declared dead.
		n.Partition(iad)
		time.Sleep(2 * time.Second)
		n.HealPartition(iad)
		time.Sleep(time.Minute)
		if !know(3, all...)() {
			t.Errorf("after a short partition they know %d, %d and %d", a.NumMembers(), b.NumMembers(), c.NumMembers())
		}

		iad.Crash()
		took := eventually(t, time.Minute, "the dead node is still counted", know(2, a, b))
		t.Logf("the death was known after %v", took)
		if err := a.Leave(10 * time.Second); err != nil {
			t.Error(err)
		}
		eventually(t, 10*time.Second, "the node that left is still counted", know(1, b))
	})
}
