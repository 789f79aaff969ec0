package link

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestProtection(t *testing.T) {
	const ms = time.Millisecond
	calm := conditions{allowed: 2e6, demand: 5e5, rtt: 100 * ms, base: 95 * ms}
	with := func(change func(c *conditions)) conditions {
		c := calm
		change(&c)
		return c
	}
	for _, row := range []struct {
		name string
		c    conditions
		loss float64 // of 35 packets a look
		full bool
		on   bool // before
		want bool
	}{
		{"a way that loses 1 %", calm, .01, false, false, true},
		{"a way that loses one in a thousand", calm, .001, false, false, true},
		{"a clean way", calm, 0, false, true, false},
		{"between the bounds it stays off", calm, .0002, false, false, false},
		{"and on", calm, .0002, false, true, true},
		{"a short way", with(func(c *conditions) { c.rtt, c.base = 10*ms, 10*ms }), .01, false, true, false},
		{"a way that has become slow", with(func(c *conditions) { c.rtt = 160 * ms }), .01, false, true, false},
		{"no room for parity", with(func(c *conditions) { c.allowed = 5e5 }), .01, false, true, false},
		{"room enough to go on", with(func(c *conditions) { c.allowed = 6e5 }), .01, false, true, true},
		{"but not to begin", with(func(c *conditions) { c.allowed = 6e5 }), .01, false, false, false},
		{"layers are shed", calm, .01, true, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := time.Now()
			p := newProtection(now)
			if p.on = row.on; !row.on {
				p.long, p.short = losses{sent: longWindow}, losses{sent: shortWindow}
			}
			for range 2000 {
				now = now.Add(governEvery)
				p.note(35, 35*row.loss)
				p.step(now, &row.c, row.full)
			}
			if p.on != row.want {
				t.Errorf("on: %v, with a loss of %v", p.on, p.long.share())
			}
		})
	}
}

func TestProtectionBeginsAtOnceAndComesBackLater(t *testing.T) {
	c := conditions{allowed: 2e6, demand: 5e5, rtt: 100 * time.Millisecond, base: 95 * time.Millisecond}
	now := time.Now()
	p := newProtection(now)
	if !p.step(now, &c, false) || !p.on {
		t.Error("a new way is not taken for one that loses packets")
	}
	if !p.step(now, &c, true) || p.on {
		t.Error("it goes on where there is no room")
	}
	if now = now.Add(calmFor - governEvery); p.step(now, &c, false) {
		t.Error("it came back too soon")
	}
	if now = now.Add(governEvery); !p.step(now, &c, false) || !p.on {
		t.Error("it did not come back")
	}
}

func TestBurstsAreMeasured(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, burst := range []float64{1, 3} {
		p := newProtection(time.Now())
		bad := false
		for range 300 {
			lost := 0.
			for range 100 {
				if bad {
					bad = burst > 1 && rng.Float64() >= 1/burst
				}
				bad = bad || rng.Float64() < .01/burst
				if bad {
					lost++
				}
			}
			p.note(100, lost)
		}
		if got := p.burst(); math.Abs(got-burst) > .8 {
			t.Errorf("bursts of %v are taken for %v", burst, got)
		}
	}
}
