package story

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/mesh/media"
	"lyceum/test/cluster"
	"lyceum/test/sim"
)

// twoRegions is a class with its home in Europe and students at the three nodes of Asia, one of which, the hub, feeds the
// two others.
func twoRegions(t *testing.T, tell func(c *cluster.Cluster, home, hub *cluster.Node, others []*cluster.Node, students []*cluster.Students)) {
	t.Helper()
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
		watching := map[*cluster.Node]*cluster.Students{}
		for _, n := range asia {
			watching[n] = c.Watch(room, n, 2)
		}
		for _, s := range watching {
			s.AllWatch(2)
		}
		var hub *cluster.Node
		c.Eventually("one of the nodes of asia feeds the others", func() bool {
			hub = entrance(asia)
			return hub != nil
		})
		var others []*cluster.Node
		var students []*cluster.Students
		for _, n := range asia {
			if n != hub {
				others, students = append(others, n), append(students, watching[n])
			}
		}
		c.Wait(5 * time.Second)
		tell(c, home, hub, others, students)
	})
}

// longestGap watches for some time and returns the longest in which no packet of the teacher's camera came to a node.
func longestGap(c *cluster.Cluster, n *cluster.Node, during time.Duration) (gap time.Duration) {
	last, at := came(n, media.Camera), time.Now()
	for end := at.Add(during); time.Now().Before(end); {
		c.Wait(10 * time.Millisecond)
		if now := came(n, media.Camera); now != last {
			gap, last, at = max(gap, time.Since(at)), now, time.Now()
		}
	}
	return max(gap, time.Since(at))
}

// noticeNothing checks that students have lost nothing.
func noticeNothing(t *testing.T, students []*cluster.Students) {
	t.Helper()
	for _, s := range students {
		if r := s.Leave(); r.Lost != 0 || r.Reconnects != 0 || r.Failed != 0 {
			t.Errorf("%d packets were lost, %d students joined again, %d failed", r.Lost, r.Reconnects, r.Failed)
		}
	}
}

func TestHubDiesAndNoStudentMissesAFrame(t *testing.T) {
	twoRegions(t, func(c *cluster.Cluster, _, hub *cluster.Node, others []*cluster.Node, students []*cluster.Students) {
		c.Net.Partition(hub.Host)
		gap := longestGap(c, others[0], 5*time.Second)
		t.Logf("gap %v", gap)
		if gap > 1200*time.Millisecond { // one second, and what is between the regions
			t.Errorf("no packet came for %v", gap)
		}
		hub.Die()
		c.Wait(15 * time.Second) // gossip learns of it too
		noticeNothing(t, students)
	})
}

func TestWayBetweenRegionsIsCutAndNoStudentMissesAFrame(t *testing.T) {
	twoRegions(t, func(c *cluster.Cluster, home, hub *cluster.Node, others []*cluster.Node, students []*cluster.Students) {
		c.Net.Cut(home.Host, hub.Host)
		gap := longestGap(c, others[0], 5*time.Second)
		t.Logf("gap %v", gap)
		if gap > 1300*time.Millisecond { // one second and the two crossings of the way around, which was cold
			t.Errorf("no packet came for %v", gap)
		}
		c.Net.Heal(home.Host, hub.Host)
		c.Wait(15 * time.Second)
		noticeNothing(t, students)
	})
}
