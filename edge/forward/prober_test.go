package forward

import "testing"

// burst is a Prober asked every 5 ms, and what it has sent.
type burst struct {
	p     Prober
	now   int64
	media float64 // bits per second
	sent  float64 // bytes, media included
	extra int     // bytes that are no media
	most  int     // of them at once
	over  bool
}

func newBurst(from, to, media float64) *burst {
	b := &burst{now: 1_000_000, media: media}
	b.begin(from, to, false)
	return b
}

func (b *burst) begin(from, to float64, careful bool) {
	b.over = false
	b.p.Begin(from, to, uint64(b.sent), 0, careful, false, b.now)
}

// run goes on for some milliseconds, or until the burst is over, and returns the rate at which things were sent.
func (b *burst) run(millis int, signs uint64) (rate float64) {
	from, sent := b.now, b.sent
	for range millis / 5 {
		if b.over {
			break
		}
		b.now += 5000
		b.sent += b.media / 8 * 0.005
		var due int
		due, b.over = b.p.Due(uint64(b.sent), signs, b.now)
		due -= due % 1200
		b.sent += float64(due)
		b.extra += due
		b.most = max(b.most, due)
	}
	return (b.sent - sent) * 8e6 / float64(max(b.now-from, 1))
}

func TestABurstGrowsFromWhatIsKnownToWhatIsWanted(t *testing.T) {
	b := newBurst(300_000, 1_600_000, 200_000)
	if !b.p.Probing() || b.p.Ready(b.now) {
		t.Error("a burst that lasts is not seen")
	}
	if rate := b.run(200, 0); rate < 200_000 || rate > 450_000 {
		t.Errorf("it begins with %.0f bit/s", rate)
	}
	last := 0.0
	for !b.over {
		if rate := b.run(500, 0); !b.over && rate < last*0.95 {
			t.Errorf("it falls from %.0f to %.0f bit/s", last, rate)
		} else if !b.over {
			last = rate
		}
		if b.now > 20_000_000 {
			t.Fatal("it has no end")
		}
	}
	if last < 1_450_000 || last > 1_650_000 {
		t.Errorf("it ends with %.0f bit/s, want 1.6 Mbit/s", last)
	}
	if b.most > probeTrain {
		t.Errorf("%d bytes leave at once", b.most)
	}
	if b.p.Probing() {
		t.Error("it lasts after its end")
	}
}

func TestABurstEndsAtTheFirstSignOfCongestion(t *testing.T) {
	b := newBurst(300_000, 1_600_000, 200_000)
	b.run(500, 0)
	if b.over {
		t.Fatal("it has ended by itself")
	}
	b.run(5, 1)
	if !b.over || b.p.Probing() {
		t.Error("it goes on")
	}
	if due, over := b.p.Due(0, 1, b.now); due != 0 || !over {
		t.Errorf("after its end %d bytes are due", due)
	}
}

func TestABurstFillsUpWhatTheMediaLeave(t *testing.T) {
	b := newBurst(300_000, 1_000_000, 2_000_000)
	for !b.over && b.now < 20_000_000 {
		b.run(100, 0)
	}
	if b.extra > 0 || !b.over {
		t.Errorf("%d bytes are added to media that are more than the burst", b.extra)
	}
}

func TestNoBurstExceedsItsBounds(t *testing.T) {
	b := newBurst(1e9, 1e12, 0)
	sent, end := 0, b.now+1_000_000
	for ; b.now < end; b.now += 1000 {
		due, _ := b.p.Due(uint64(sent), 0, b.now)
		sent += due
	}
	if rate := sent * 8; rate > probeMost*1.05 {
		t.Errorf("it sends %d bit/s", rate)
	}
}

func TestABurstThatIsAskedLateDoesNotMakeUpForIt(t *testing.T) {
	b := newBurst(100_000, 300_000, 0)
	b.run(50, 0)
	b.now += 60_000_000
	if due, _ := b.p.Due(uint64(b.sent), 0, b.now); due > 2000 {
		t.Errorf("%d bytes at once after a pause, at 300 kbit/s", due)
	}
}

func TestBurstsRestAndTire(t *testing.T) {
	for name, c := range map[string]struct {
		careful bool
		rests   []int64 // milliseconds after each burst in vain
	}{
		"limits are told": {false, []int64{3500, 3500, 5000}},
		"only loss tells": {true, []int64{7000, 14_000, 28_000, 30_000}},
	} {
		b := newBurst(300_000, 400_000, 0)
		for i, rest := range c.rests {
			b.p.Stop(b.now)
			b.now = b.p.restAt
			b.begin(300_000, 400_000, c.careful)
			b.run(5, 1)
			if b.p.Ready(b.now+rest*1000-1) || !b.p.Ready(b.now+rest*1000) {
				t.Errorf("%s: after %d bursts in vain it rests for %d ms, want %d", name, i+1, (b.p.restAt-b.now)/1000, rest)
			}
		}
		b.p.Reward()
		b.begin(300_000, 400_000, c.careful)
		b.run(5, 1)
		if got := b.p.restAt - b.now; got != c.rests[0]*1000 {
			t.Errorf("%s: after one that was not in vain it rests for %d us", name, got)
		}
	}
	var p Prober
	for range probeTries {
		p.Begin(1, 2, 0, 0, false, false, 0)
		p.Due(0, 1, 0)
	}
	if p.restAt != probeTired {
		t.Errorf("after %d in vain it rests for %d us", probeTries, p.restAt)
	}
}
