package link

import (
	"testing"
	"time"
)

func TestScaler(t *testing.T) {
	const ms = time.Millisecond
	calm := conditions{stripes: 4, allowed: 2e6, demand: 5e5, rtt: 100 * ms, base: 95 * ms}
	with := func(change func(c *conditions)) conditions {
		c := calm
		change(&c)
		return c
	}
	for _, row := range []struct {
		name  string
		c     conditions
		lasts time.Duration
		want  int
	}{
		{"enough", calm, 10 * time.Minute, 4},
		{"demand asks for more than the first windows", with(func(c *conditions) { c.demand = 2e6 }), 0, 10},
		{"no more than many at once", with(func(c *conditions) { c.demand = 1e8 }), 0, manyStripes},
		{"nor later", with(func(c *conditions) { c.demand, c.allowed, c.stripes, c.waits = 3e6, 7e6, 32, true }), time.Minute, manyStripes},
		{"more if they do not do", with(func(c *conditions) { c.demand, c.stripes = 1e8, 32 }), time.Minute, maxStripes},
		{"windows have shrunk", with(func(c *conditions) { c.allowed = 9e5 }), 1500 * ms, 5},
		{"the last addition is not there yet", with(func(c *conditions) { c.allowed, c.stripes = 9e5, 3 }), time.Minute, 4},
		{"chunks wait", with(func(c *conditions) { c.waits = true }), 1500 * ms, 5},
		{"congested by delay", with(func(c *conditions) { c.waits, c.rtt = true, 150*ms }), time.Minute, 4},
		{"congested by loss", with(func(c *conditions) { c.waits, c.loss = true, .04 }), time.Minute, 4},
		{"much room for a short time", with(func(c *conditions) { c.demand = 1e5 }), 59 * time.Second, 4},
		{"much room for long", with(func(c *conditions) { c.demand = 1e5 }), 61 * time.Second, 3},
		{"nothing to do", with(func(c *conditions) { c.demand = 0 }), time.Hour, minStripes},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := time.Now()
			s := newScaler(now)
			for d := time.Duration(0); d <= row.lasts; d += governEvery {
				s.step(now.Add(d), &row.c)
			}
			if s.want != row.want {
				t.Errorf("%d stripes, want %d", s.want, row.want)
			}
		})
	}
}
