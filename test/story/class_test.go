package story

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/test/cluster"
	"lyceum/test/sim"
)

const (
	room = "algebra"
	// tracks is how many an edge carries for its students: camera and microphone, and word of a screen and its sound.
	tracks = 4
)

// continents joins three nodes as Frankfurt, Singapore and Virginia are joined.
var continents = sim.Path{Delay: 80 * time.Millisecond}

// story runs a story in a bubble, with a class of three nodes and a room.
func story(t *testing.T, tell func(t *testing.T, c *cluster.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := cluster.New(t, continents, "frankfurt", "singapore", "virginia")
		c.Open(room)
		tell(t, c)
	})
}

func TestLateStudentStartsAtOnceWithoutAskingTheTeacher(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		teacher := c.Teach(room, home)
		early := c.Watch(room, home, 1)
		early.AllWatch(1)
		c.Wait(10 * time.Second)
		asked := teacher.State().Keyframes
		late := c.Watch(room, far, 1)
		late.AllWatch(1)
		c.Wait(5 * time.Second)
		r := late.Leave()
		if now := teacher.State().Keyframes; now != asked {
			t.Errorf("the late student cost the teacher %d keyframes", now-asked)
		}
		if r.Lost != 0 {
			t.Errorf("the late student lost %d packets", r.Lost)
		}
		// Four crossings of the ocean for ICE and DTLS, two for the subscription.
		if r.FirstKeyframe.P95 > 1500 {
			t.Errorf("the first keyframe came after %.0f ms", r.FirstKeyframe.P95)
		}
	})
}

func TestTenStudentsBehindOneEdgeCostOneCopy(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		c.Teach(room, home)
		copyOf := func() int64 {
			before := c.Net.Traffic(home.Host, far.Host).Bytes
			c.Wait(12 * time.Second) // the length of the clip
			return c.Net.Traffic(home.Host, far.Host).Bytes - before
		}
		one := c.Watch(room, far, 1)
		one.AllWatch(1)
		c.Wait(5 * time.Second)
		forOne := copyOf()
		nine := c.Watch(room, far, 9)
		nine.AllWatch(9)
		c.Wait(5 * time.Second)
		forTen := copyOf()
		if forTen > forOne*11/10 {
			t.Errorf("%d bytes crossed for one student and %d for ten", forOne, forTen)
		}
		for _, track := range c.Nodes[2].Status().Tracks { // it may stand by
			if track.Packets != 0 {
				t.Errorf("%d packets of %s came to a node without students", track.Packets, track.Name)
			}
		}
	})
}

func TestEdgeLetsGoWhenItsLastStudentLeaves(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		c.Teach(room, home)
		s := c.Watch(room, far, 1)
		s.AllWatch(1)
		if n := far.Carries(room); n != tracks {
			t.Fatalf("the edge carries %d tracks for its student, want %d", n, tracks)
		}
		s.Leave()
		c.Eventually("the edge has let go", func() bool { return far.Carries(room) == 0 })
		before := c.Net.Traffic(home.Host, far.Host).Bytes
		c.Wait(10 * time.Second)
		// Gossip, Raft and heartbeats stay: some kB/s; the class was some 200.
		if sent := c.Net.Traffic(home.Host, far.Host).Bytes - before; sent > 300_000 {
			t.Errorf("%d bytes crossed in 10 s for nobody", sent)
		}
	})
}

func TestRestartedHomeStillKnowsItsRooms(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		c.Teach(room, home)
		s := c.Watch(room, far, 1)
		s.AllWatch(1)
		before := s.Now().Packets
		home.Die()
		c.Wait(2 * time.Second)
		home.Start()
		c.Eventually("the restarted home knows its room", func() bool { return home.Knows(room) })
		c.Eventually("the student sees the teacher again", func() bool { return s.Now().Packets > before+500 })
	})
}

func TestStudentsWaitForATeacherWhoReturns(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		s := c.Watch(room, far, 3)
		c.Eventually("the edge waits for the teacher", func() bool { return far.Carries(room) == tracks })
		first := c.Teach(room, home)
		s.AllWatch(3)
		first.Leave()
		c.Wait(30 * time.Second)
		before := s.Now().Packets
		c.Teach(room, home)
		c.Eventually("the students see the returned teacher", func() bool { return s.Now().Packets > before+1000 })
		if r := s.Now(); r.Reconnects != 0 || r.Lost != 0 {
			t.Errorf("%d students had to join again, %d packets were lost", r.Reconnects, r.Lost)
		}
	})
}
