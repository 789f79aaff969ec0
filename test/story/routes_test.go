package story

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/test/cluster"
	"lyceum/test/sim"
)

// direct is the way between Europe and Asia that is good, and 80 ms are as long as the way through India.
var direct = sim.Path{Delay: 80 * time.Millisecond}

func TestClassGoesRoundALossyWayAndReturns(t *testing.T) {
	lossy := direct
	lossy.Loss = 0.06
	goesRound(t, lossy, func(t *testing.T, r cluster.Route) {
		if r.Loss < 0.02 || r.Loss > 0.11 {
			t.Errorf("the home measures %+v", r)
		}
	})
}

// goesRound has a class in Europe and its students in Asia while the direct way between the two is bad for some minutes.
func goesRound(t *testing.T, bad sim.Path, measured func(*testing.T, cluster.Route)) {
	t.Helper()
	t.Parallel() // each ride has its network and its time to itself
	synctest.Test(t, func(t *testing.T) {
		half := sim.Path{Delay: 40 * time.Millisecond}
		c := cluster.New(t, half, "eu/frankfurt", "in/mumbai", "ap/tokyo")
		home, between, far := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		c.Net.SetPath(home.Host, far.Host, direct)
		c.Open(room)
		c.Teach(room, home)
		s := c.Watch(room, far, 2)
		s.AllWatch(2)
		moves := 0
		pullsFrom := func(parent *cluster.Node, within time.Duration) {
			t.Helper()
			began, last := time.Now(), far.Parent(room)
			for ; time.Since(began) < within; c.Wait(time.Second) {
				if now := far.Parent(room); now != last {
					moves, last = moves+1, now
					t.Logf("%s pulls from %s after %v", far.ID, now, time.Since(began).Round(time.Second))
				}
			}
			if last != parent.ID {
				t.Errorf("%s pulls from %s, want %s", far.ID, last, parent.ID)
			}
		}
		pullsFrom(home, 40*time.Second)
		if n := s.Now().Lost; n != 0 {
			t.Errorf("%d packets were lost on a good way", n)
		}
		c.Net.SetPath(home.Host, far.Host, bad)
		pullsFrom(between, 3*time.Minute)
		lost := s.Now().Lost // on the bad way, before it was left

		for _, n := range home.Tree(room).Nodes {
			if n.ID == far.ID {
				t.Logf("tier %d, %s, because %s", n.Tier, n.Link, n.Why)
				if n.Tier != 2 || n.Why == "" || n.Standby != home.ID {
					t.Errorf("the tree shows tier %d, standby %q, because %q", n.Tier, n.Standby, n.Why)
				}
			}
		}
		for _, r := range home.Routes() {
			t.Log(r)
			if r.From == "eu" && r.To == "ap" {
				measured(t, r)
			}
			if around := (r.From == "eu" && r.To == "ap") || (r.From == "ap" && r.To == "eu"); around != (r.Via == "in") {
				t.Errorf("the home goes %s", r)
			}
		}
		// One copy crosses each border, and none the direct way, where only heartbeats, gossip and Raft do.
		bytes := func(a, b *cluster.Node) int64 { return c.Net.Traffic(a.Host, b.Host).Bytes }
		into, out, straight := bytes(home, between), bytes(between, far), bytes(home, far)
		c.Wait(12 * time.Second)
		into, out, straight = bytes(home, between)-into, bytes(between, far)-out, bytes(home, far)-straight
		t.Logf("in 12 s %d bytes went to the region between, %d on to the far one, %d directly", into, out, straight)
		if into < 1_500_000 || out < 1_500_000 || into > out*5/4 || out > into*5/4 || straight > into/5 {
			t.Error("this is not one copy over each border")
		}

		c.Net.SetPath(home.Host, far.Host, direct)
		pullsFrom(home, 5*time.Minute)
		if moves != 2 {
			t.Errorf("%s moved %d times, want there and back", far.ID, moves)
		}
		r := s.Leave()
		t.Logf("%d packets came, %d were lost on the bad way and %d by the moves", r.Packets, lost, r.Lost-lost)
		if r.Reconnects != 0 || r.Failed != 0 || r.Lost != lost || bad.Loss == 0 && lost != 0 {
			t.Errorf("%d packets were lost, %d before, %d students joined again, %d failed", r.Lost, lost, r.Reconnects, r.Failed)
		}
	})
}
