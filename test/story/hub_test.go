package story

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lyceum/test/cluster"
	"lyceum/test/sim"
)

// TestHubFeedsItsRegionAndServesNobody has a node in Asia that is a hub and nothing else.
func TestHubFeedsItsRegionAndServesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster.New(t, continents, "eu/frankfurt", "ap/singapore:hub", "ap/jakarta", "ap/manila")
		near := sim.Path{Delay: 5 * time.Millisecond}
		home, hub, edges := c.Nodes[0], c.Nodes[1], c.Nodes[2:]
		for i, a := range c.Nodes[1:] {
			for _, b := range c.Nodes[2+i:] {
				c.Net.SetPath(a.Host, b.Host, near)
			}
		}
		c.Open(room)
		c.Eventually("all know one another", func() bool { return len(hub.Members()) == 4 })
		c.Teach(room, hub) // who is sent on to a node that takes teachers
		if len(hub.Status().Teachers) != 0 {
			t.Error("the hub has taken a teacher")
		}
		s := c.Watch(room, hub, 3)
		s.AllWatch(3)
		c.Wait(5 * time.Second)
		if len(hub.Status().Students) != 0 {
			t.Error("the hub serves students")
		}
		first := c.Watch(room, edges[0], 1)
		second := c.Watch(room, edges[1], 1)
		first.AllWatch(1)
		second.AllWatch(1)
		if at := home.Tree(room).Home; at != home.ID { // the first of those that are equally near
			t.Fatalf("the teacher was sent to %s", at)
		}
		for _, n := range edges {
			c.Eventually(n.ID+" hangs on the hub", func() bool { return n.Parent(room) == hub.ID })
		}
		for _, m := range home.Members() {
			if want := map[bool][]string{true: {"hub", "voter"}, false: {"origin", "edge", "voter"}}[m.ID == hub.ID]; !slices.Equal(m.Roles, want) {
				t.Errorf("%s is shown with the roles %v, want %v", m.ID, m.Roles, want)
			}
		}
		c.Wait(5 * time.Second)
		noticeNothing(t, []*cluster.Students{s, first, second})
	})
}
