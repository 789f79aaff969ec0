package edge

import (
	"testing"
	"testing/synctest"
	"time"

	"lyceum/mesh/media"
)

// parts writes one frame of layer 0 in parts of the given sizes, with a pause before each part but the first.
func (te *teacher) parts(pause time.Duration, sizes ...int) {
	for i, size := range sizes {
		if i > 0 {
			time.Sleep(pause)
		}
		p := te.packet(0, 1, te.frame%50 == 0)
		if i == 0 {
			p.Flags |= media.First
		}
		if i == len(sizes)-1 {
			p.Flags |= media.Last
		}
		p.Payload = append(make([]byte, 0, size), p.Payload[:min(size, len(p.Payload))]...)[:size]
		te.track.Write(&p)
	}
	te.frame++
	synctest.Wait()
}

// bursts are how many packets a student got at each moment, and when, counted from the first.
func (w *wire) bursts() (counts []int, at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.times {
		since := t.Sub(w.times[0])
		if n := len(at); n == 0 || at[n-1] != since {
			counts, at = append(counts, 0), append(at, since)
		}
		counts[len(counts)-1]++
	}
	return counts, at
}

func repeat(n, size int) (sizes []int) {
	for range n {
		sizes = append(sizes, size)
	}
	return sizes
}

func TestAFrameLeavesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.parts(0, 100, 100)
		time.Sleep(frameTime)
		c.wire.take()
		te.parts(400*time.Microsecond, repeat(5, 100)...)
		if counts, _ := c.wire.bursts(); len(counts) != 1 || counts[0] != 5 {
			t.Errorf("the frame left in bursts of %v", counts)
		}
		time.Sleep(frameTime)
		c.wire.take()
		te.parts(1500*time.Microsecond, repeat(6, 100)...)
		if counts, at := c.wire.bursts(); len(counts) != 3 || at[1] != 3*time.Millisecond {
			t.Errorf("a frame that comes slowly left in bursts of %v at %v", counts, at)
		}
	})
}

func TestALargeFrameIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Video)
		te := newTeacher(c.track, 1)
		te.parts(0, 100)
		time.Sleep(frameTime)
		c.wire.take()
		te.parts(0, repeat(45, 100)...)
		time.Sleep(frameTime)
		counts, at := c.wire.bursts()
		if len(counts) != 5 || at[4] != 4*trainTime {
			t.Errorf("bursts of %v at %v, want trains of %d every %s", counts, at, trainLength, trainTime)
		}
		checkFlowOfOneFrame(t, c)
	})
}

func checkFlowOfOneFrame(t *testing.T, c *class) {
	t.Helper()
	got := c.wire.take()
	for i := 1; i < len(got); i++ {
		if got[i].SequenceNumber != got[i-1].SequenceNumber+1 || got[i].Timestamp != got[0].Timestamp {
			t.Errorf("packet %d: %v", i, got[i].Header)
		}
	}
}

func TestPartsOfAFrameAreMadeEqual(t *testing.T) {
	for _, c := range []struct {
		name        string
		sizes, fill []int
	}{
		{"the last parts are larger by a byte", []int{100, 100, 101, 101}, []int{1, 1, 0, 0}},
		{"they grow", []int{100, 101, 102}, []int{2, 1, 0}},
		{"the last part is short", []int{100, 100, 30}, []int{0, 0, 0}},
		{"a small part before large ones", []int{30, 100, 100}, []int{0, 0, 0}},
		{"a part in the middle is short", []int{100, 95, 100}, []int{0, 5, 0}},
		{"a single part", []int{100}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pump{}
			for i, size := range c.sizes {
				p.batch[i].Payload, p.batch[i].Frame = make([]byte, size), 7
			}
			next := &p.batch[len(c.sizes)]
			next.Payload, next.Frame = make([]byte, 105), 8
			p.n = len(c.sizes) + 1
			p.even()
			for i, want := range c.fill {
				if got := int(p.batch[i].fill); got != want {
					t.Errorf("part %d is filled by %d, want %d", i, got, want)
				}
			}
		})
	}
}

// To others the same packet may have to be sent again, and must then have the same bytes.
func TestStampsAreSparseForThoseWithRepairPackets(t *testing.T) {
	for name, c := range map[string]struct {
		repair      uint8
		least, most int
	}{
		"with repair":    {97, 3, 5},
		"without repair": {0, 76, 76},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room := newClass(t, media.Video)
				room.leg.out.codecs[0].repair = c.repair
				te := newTeacher(room.track, 1)
				for range 76 {
					te.parts(0, 100, 101)
					time.Sleep(frameTime)
				}
				stamps := 0
				for _, p := range room.wire.take() {
					if p.GetExtension(3) != nil {
						stamps++
					}
				}
				if stamps < c.least || stamps > c.most {
					t.Errorf("%d stamps in 76 frames, want %d to %d", stamps, c.least, c.most)
				}
			})
		})
	}
}

func TestStudentsOfALargeRoomAreDividedAmongShards(t *testing.T) {
	r := &room{}
	r.shards = []*shard{{students: shardSize}, {students: shardSize - 1}}
	if s := r.enterLocked(); s != r.shards[1] || s.students != shardSize {
		t.Errorf("the student went to %+v", s)
	}
}
