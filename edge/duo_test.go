package edge

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// duo is a camera and a screen on their way to one student, who has asked for both.
type duo struct {
	hub    *relay.Hub
	tracks [2]*relay.Track
	pumps  [2]*pump
	legs   [2]*leg
	wires  [2]*wire
}

func newDuo(t *testing.T) *duo {
	d := &duo{hub: relay.NewHub(relay.Config{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.hub.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	began := time.Now()
	n := &network{}
	for i, name := range []string{media.Camera, media.Screen} {
		track, release := d.hub.Acquire(media.TrackID{Room: "a", Name: name})
		d.tracks[i] = track
		d.pumps[i] = newPump(track, media.Video, release, noFan(t), newMetrics(nil, &Edge{}), func() int64 { return time.Since(began).Microseconds() + 1 })
		wg.Go(func() { d.pumps[i].run(ctx) })
		w := &wire{}
		d.wires[i] = w
		l := newLeg(media.Video, w.binding(), n, w.writeRTCP, d.pumps[i].now())
		n.legs = append(n.legs, l)
		l.choices = []*pump{d.pumps[i]}
		d.legs[i] = l
	}
	for i, l := range d.legs {
		l.carry(d.pumps[i])
		d.pumps[i].add(l)
		l.setOpen(true, d.pumps[i].now())
	}
	return d
}

// tell lets the player tell a limit so many times, while the teachers write five frames each time.
func (d *duo) tell(bps float64, times int, te ...*teacher) {
	for range times {
		d.legs[0].mu.Lock()
		d.legs[0].limitedLocked(bps, d.pumps[0].now())
		d.legs[0].mu.Unlock()
		for range 5 {
			for _, x := range te {
				x.write()
			}
			time.Sleep(frameTime)
		}
	}
}

// shows is how many layers of the camera and of the screen the student gets.
func (d *duo) shows() (camera, screen int) {
	d.legs[0].mu.Lock()
	defer d.legs[0].mu.Unlock()
	get := func(l *leg) int {
		if l.picture.off {
			return 0
		}
		return l.picture.granted
	}
	return get(d.legs[0]), get(d.legs[1])
}

func TestAScreenThatHasEndedLeavesItsShareToTheCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t)
		camera, screen := newTeacher(d.tracks[0], 1), newTeacher(d.tracks[1], 2)
		d.tell(2_000_000, 1, camera, screen)
		d.tell(900_000, 25, camera, screen)
		if c, s := d.shows(); c != 1 || s != 2 {
			t.Errorf("%d layers of the camera and %d of the screen, want 1 and 2", c, s)
		}
		d.tracks[1].Stop()
		d.tell(900_000, 100, camera)
		if c, _ := d.shows(); c != 2 {
			t.Errorf("%d layers of the camera after the screen has ended, want 2", c)
		}
	})
}

func TestAScreenAloneFollowsTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t)
		screen := newTeacher(d.tracks[1], 2)
		d.tell(3_000_000, 10, screen)
		if _, s := d.shows(); s != 3 {
			t.Errorf("%d layers of the screen, want 3", s)
		}
		d.tell(300_000, 30, screen)
		if _, s := d.shows(); s != 1 {
			t.Errorf("%d layers of the screen on a narrow network, want 1", s)
		}
		d.legs[0].mu.Lock()
		d.legs[1].counts.probes = 0
		d.legs[0].mu.Unlock()
		d.tell(300_000, 50, screen)
		d.legs[0].mu.Lock()
		defer d.legs[0].mu.Unlock()
		if d.legs[1].counts.probes == 0 {
			t.Error("no burst looks for more")
		}
	})
}
