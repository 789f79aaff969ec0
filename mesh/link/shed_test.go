package link

import (
	"testing"
	"time"
)

func TestShedderWaitsForThreeBadTicksAndProbesLater(t *testing.T) {
	var s shedder
	now := time.Now()
	const rtt = 100 * time.Millisecond
	tick := func(long, stuck bool) action {
		now = now.Add(governEvery)
		return s.tick(now, long, stuck, rtt)
	}
	for range 20 {
		if tick(true, false) != nothing {
			t.Fatal("shed though a stripe may be added")
		}
	}
	tick(true, true)
	tick(true, true)
	tick(false, true) // a keyframe, no more
	tick(true, true)
	tick(true, true)
	if a := tick(true, true); a != shedLayer {
		t.Fatalf("%v after three bad ticks", a)
	}
	s.did(now)
	shed := now
	for now.Sub(shed) < shedPause+2*rtt-governEvery {
		if tick(true, true) != nothing {
			t.Fatal("no time was given for an effect")
		}
	}
	if a := tick(true, true); a != shedLayer {
		t.Fatalf("%v though it is still bad", a)
	}
	s.did(now)
	shed = now
	for tick(false, false) != probeRoom {
	}
	if d := now.Sub(shed); d != firstProbe {
		t.Errorf("probed after %v", d)
	}
	s.probed(now, true)
	if s.shed != 1 {
		t.Errorf("%d layers are shed", s.shed)
	}
	// What was resumed too early makes the next look later.
	for tick(true, true) != shedLayer {
	}
	s.did(now)
	shed = now
	for tick(false, false) != probeRoom {
	}
	if d := now.Sub(shed); d != 2*firstProbe {
		t.Errorf("probed after %v", d)
	}
}

func TestProbeEndsWhenTheWayBecomesSlower(t *testing.T) {
	const rtt, rate = 100 * time.Millisecond, 300_000
	for _, row := range []struct {
		name    string
		answers func(d time.Duration) time.Duration
		takes   float64 // the share that is sent
		room    bool
		within  time.Duration
	}{
		{"room", func(time.Duration) time.Duration { return 5 * time.Millisecond }, 1, true, 310 * time.Millisecond},
		{"a short burst", func(d time.Duration) time.Duration {
			if d > 40*time.Millisecond && d < 80*time.Millisecond {
				return 40 * time.Millisecond
			}
			return 0
		}, 1, true, 310 * time.Millisecond},
		{"no room", func(d time.Duration) time.Duration { return max(0, (d-rtt)*6/10) }, 1, false, 250 * time.Millisecond},
		{"no room in the windows", func(time.Duration) time.Duration { return 0 }, .5, false, 310 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			began := time.Now()
			p := newProbe(began, rate, 0, rtt)
			for now := began; ; now = now.Add(probeStep) {
				n, over, room := p.step(now, row.answers(now.Sub(began)))
				p.sent += float64(n) * row.takes
				if row.takes < 1 {
					p.sent = p.due * row.takes
				}
				if !over {
					continue
				}
				if room != row.room || now.Sub(began) > row.within {
					t.Errorf("room %v after %v", room, now.Sub(began))
				}
				if most := rate * probeShare * probeFor.Seconds(); p.sent > most {
					t.Errorf("%v bytes were sent, want at most %v", p.sent, most)
				}
				return
			}
		})
	}
}

func TestPacerSpreadsWhatItSends(t *testing.T) {
	var p pacer
	for range capacityOver {
		p.note(37_500)
	}
	p.narrow()
	p.set(true, 100_000)
	now := time.Now()
	var sent int
	for d := time.Duration(0); d < time.Second; d += time.Millisecond {
		for p.ready(now.Add(d)) {
			p.spend(10_000)
			sent += 10_000
		}
	}
	if want := paceShare * 375_000; float64(sent) < want-10_000 || float64(sent) > want+10_000+paceBurst {
		t.Errorf("%d bytes in a second, want %v", sent, want)
	}
	p.set(true, 400_000)
	if p.rate != paceLeast*400_000 {
		t.Errorf("rate %v holds up the demand", p.rate)
	}
	p.set(false, 0)
	if !p.ready(now) {
		t.Error("paced though the way is wide")
	}
}
