package story

import (
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/test/cluster"
	"lyceum/test/sim"
)

// came is how many packets of a track have come to a node.
func came(n *cluster.Node, track string) uint64 {
	for _, t := range n.Status().Tracks {
		if t.Room == room && t.Name == track {
			return t.Packets
		}
	}
	return 0
}

func TestHealedWayContinuesByNumber(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		teacher := c.Teach(room, home)
		s := c.Watch(room, far, 1)
		s.AllWatch(1)
		c.Wait(5 * time.Second)
		asked := teacher.State().Keyframes
		born, arrived := came(home, media.Camera), came(far, media.Camera)
		c.Net.Cut(home.Host, far.Host)
		c.Wait(2 * time.Second) // in three the students would look for another edge
		c.Net.Heal(home.Host, far.Host)
		c.Wait(10 * time.Second)
		born, arrived = came(home, media.Camera)-born, came(far, media.Camera)-arrived
		t.Logf("%d packets of three layers at the home, %d of one at the edge", born, arrived)
		if r := s.Leave(); r.Lost != 0 || r.Reconnects != 0 {
			t.Errorf("the student lost %d packets and joined %d times again", r.Lost, r.Reconnects)
		}
		if now := teacher.State().Keyframes; now != asked {
			t.Errorf("the cut cost the teacher %d keyframes", now-asked)
		}
	})
}

func TestClassGoesOnAtANewHomeWhenTheOldOneIsDead(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far, next := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		first := c.Teach(room, home)
		s := c.Watch(room, far, 3)
		s.AllWatch(3)
		first.Leave() // the teacher's next publication is at another node
		home.Die()
		before := s.Now().Packets
		c.Teach(room, next)
		c.Eventually("the students see the teacher again", func() bool { return s.Now().Packets > before+1000 })
		if r := s.Leave(); r.Reconnects != 0 || r.Failed != 0 {
			t.Errorf("%d students joined again, %d failed; they were to stay in their sessions", r.Reconnects, r.Failed)
		}
	})
}

func TestSoundCrossesALossyWayWhole(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		c.Net.SetPath(home.Host, far.Host, sim.Path{Delay: 80 * time.Millisecond, Loss: 0.01})
		c.Teach(room, home)
		s := c.Watch(room, far, 1)
		s.AllWatch(1)
		c.Wait(5 * time.Second)
		born, arrived := came(home, media.Microphone), came(far, media.Microphone)
		c.Wait(60 * time.Second)
		born, arrived = came(home, media.Microphone)-born, came(far, media.Microphone)-arrived
		if born < 2900 {
			t.Fatalf("the teacher said only %d packets in a minute", born)
		}
		// One in ten thousand loses both of its copies; ten more may be between the two looks.
		if arrived+12 < born {
			t.Errorf("%d of %d packets of sound came", arrived, born)
		}
		t.Logf("%d of %d packets of sound came", arrived, born)
	})
}

func TestStudentAtARewarmedEdgeStartsAtOnceWithoutAskingTheTeacher(t *testing.T) {
	story(t, func(t *testing.T, c *cluster.Cluster) {
		home, far := c.Nodes[0], c.Nodes[1]
		teacher := c.Teach(room, home)
		for i := range 5 {
			asked := teacher.State().Keyframes
			s := c.Watch(room, far, 1)
			s.AllWatch(1)
			c.Wait(1200*time.Millisecond + time.Duration(i)*300*time.Millisecond) // at all moments between two keyframes
			if r := s.Leave(); r.FirstKeyframe.P95 > 1500 || r.Lost != 0 {
				t.Errorf("the first keyframe came after %.0f ms, %d packets were lost", r.FirstKeyframe.P95, r.Lost)
			}
			if now := teacher.State().Keyframes; now != asked {
				t.Errorf("the student cost the teacher %d keyframes", now-asked)
			}
			c.Wait(300 * time.Millisecond) // the edge lingers
		}
	})
}
