package story

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/test/cluster"
	"lyceum/test/sim"
)

func TestCrowdCostsTheTeacherNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster.New(t, continents, "eu/frankfurt", "ap/singapore", "ap/jakarta", "us/virginia", "us/oregon")
		near := sim.Path{Delay: 5 * time.Millisecond}
		c.Net.SetPath(c.Nodes[1].Host, c.Nodes[2].Host, near)
		c.Net.SetPath(c.Nodes[3].Host, c.Nodes[4].Host, near)
		c.Open(room)
		home, edges := c.Nodes[0], c.Nodes[1:]
		teacher := c.Teach(room, home)
		c.Wait(5 * time.Second)
		asked := teacher.State().Keyframes

		began := time.Now()
		var students []*cluster.Students
		for _, e := range edges {
			students = append(students, c.WatchOver(room, e, crowd, 10*time.Second))
		}
		for _, s := range students {
			s.AllWatch(crowd)
		}
		// One a second for each of the three layers is what the teacher may be asked at most.
		if n, most := teacher.State().Keyframes-asked, uint64(3*(time.Since(began).Seconds()+1)); n > most {
			t.Errorf("the teacher was asked for %d keyframes, more than %d", n, most)
		}

		crossed := func(to []*cluster.Node) (most, sum int64) {
			for _, n := range to {
				b := c.Net.Traffic(home.Host, n.Host).Bytes
				most, sum = max(most, b), sum+b
			}
			return most, sum
		}
		for _, region := range [][]*cluster.Node{edges[:2], edges[2:]} {
			most, sum := crossed(region)
			c.Wait(12 * time.Second) // the length of the clip
			mostNow, sumNow := crossed(region)
			// Gossip, Raft and what they need cross to every node: some kB/s; the class is some 200.
			if one, all := mostNow-most, sumNow-sum; one < 1_500_000 || all > one*6/5 {
				t.Errorf("%d bytes crossed into the region, %d of them to one node", all, one)
			}
		}
		for i, s := range students {
			if r := s.Leave(); r.Watching != crowd || r.Lost != 0 || r.Failed != 0 {
				t.Errorf("at %s %d of %d watch, %d packets lost, failures %v", edges[i].ID, r.Watching, crowd, r.Lost, r.Failures)
			} else {
				t.Logf("at %s: first keyframe p95 %.0f ms, delay p99 %.0f ms", edges[i].ID, r.FirstKeyframe.P95, r.Latency.P99)
			}
		}
		t.Logf("the teacher was asked for %d keyframes", teacher.State().Keyframes-asked)
	})
}
