package story

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/test/cluster"
	"lyceum/test/sim"
)

func TestOneCopyCrossesToARegionAndAnotherHubTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster.New(t, continents, "eu/frankfurt", "eu/paris", "ap/singapore", "ap/jakarta", "ap/manila")
		near := sim.Path{Delay: 5 * time.Millisecond}
		c.Net.SetPath(c.Nodes[0].Host, c.Nodes[1].Host, near)
		asia := c.Nodes[2:]
		for i, a := range asia {
			for _, b := range asia[i+1:] {
				c.Net.SetPath(a.Host, b.Host, near)
			}
		}
		c.Open(room)
		home := c.Nodes[0]
		c.Teach(room, home)
		var students []*cluster.Students
		for _, n := range asia {
			students = append(students, c.Watch(room, n, 2))
		}
		for _, s := range students {
			s.AllWatch(2)
		}

		// The three agree on one of them, which alone gets the class from the home.
		var hub *cluster.Node
		c.Eventually("one of the nodes of asia feeds the others", func() bool {
			hub = entrance(asia)
			return hub != nil
		})
		for _, n := range asia {
			if want := map[bool]string{true: home.ID, false: hub.ID}[n == hub]; n.Parent(room) != want {
				t.Errorf("%s has the parent %q, want %s", n.ID, n.Parent(room), want)
			}
		}
		crossed := func() (bytes, toHub int64) {
			for _, n := range asia {
				sent := c.Net.Traffic(home.Host, n.Host).Bytes
				if bytes += sent; n == hub {
					toHub = sent
				}
			}
			return bytes, toHub
		}
		all, one := crossed()
		c.Wait(12 * time.Second) // the length of the clip
		allNow, oneNow := crossed()
		// Gossip, Raft and what they need cross to every node: some kB/s; the class is some 200.
		if others := (allNow - all) - (oneNow - one); oneNow-one < 1_500_000 || others > (oneNow-one)/5 {
			t.Errorf("%d bytes crossed to the hub and %d to the two others", oneNow-one, others)
		}

		var left []*cluster.Node
		var watching []*cluster.Students
		for i, n := range asia {
			if n != hub {
				left, watching = append(left, n), append(watching, students[i])
			}
		}
		died := time.Now()
		hub.Die()
		c.Eventually("one of the two left has become the hub", func() bool {
			next := entrance(left)
			return next != nil && next.Parent(room) == home.ID
		})
		for i, s := range watching {
			before := s.Now().Packets
			c.Eventually("the students at "+left[i].ID+" see the class again", func() bool { return s.Now().Packets > before+500 })
		}
		// Gossip notices a crash after some 7 s.
		took := time.Since(died)
		t.Logf("the class went on %.1f s after the hub had died", took.Seconds())
		if took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// entrance is the one of some nodes that gets the room from outside, if the others get it from that one.
func entrance(nodes []*cluster.Node) *cluster.Node {
	inside := map[string]*cluster.Node{}
	for _, n := range nodes {
		inside[n.ID] = n
	}
	var hub *cluster.Node
	for _, n := range nodes {
		if parent := n.Parent(room); inside[parent] != nil {
			continue
		} else if hub != nil || parent == "" {
			return nil
		}
		hub = n
	}
	return hub
}
