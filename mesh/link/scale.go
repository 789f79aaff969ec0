package link

import (
	"math"
	"time"
)

const (
	// firstWindow is what a new QUIC connection may have under way: 32 packets of 1,280 bytes.
	firstWindow = 41_000
	// enoughRoom is how much more than the demand the stripes' windows should allow, so that keyframes find room.
	enoughRoom = 2
	// muchRoom is how much more is too much, if it lasts for unneeded.
	muchRoom = 5
	unneeded = time.Minute
	// growPause is the least time between two additions, so that the effect of one is seen before the next.
	growPause = time.Second
	// congestedRTT and congestedLoss tell congestion, which more stripes would only add to, from losses by chance.
	congestedRTT  = 1.5
	congestedLoss = .03
)

// conditions are what the stripes of a link tell together about the way to the child.
type conditions struct {
	stripes int           // that are there
	allowed float64       // bytes per second that the windows allow
	demand  float64       // bytes per second that come to be sent
	rtt     time.Duration // smoothed
	base    time.Duration // the lowest of late
	loss    float64       // share of packets, over some seconds
	waits   bool          // p95 of the time in the queue is above 15 ms, in the last second
}

func (c *conditions) congested() bool {
	return float64(c.rtt) > congestedRTT*float64(c.base) || c.loss > congestedLoss
}

// scaler decides how many stripes a link should have.
type scaler struct {
	want    int
	changed time.Time
	ample   time.Time // since when there is much more room than needed; zero for not now
}

func newScaler(now time.Time) scaler { return scaler{want: startStripes, changed: now} }

// full reports whether no stripe may be added.
func (s *scaler) full(c *conditions) bool { return s.want >= s.most(c) || c.congested() }

// most bounds the stripes. A few are cheap, and losses that keep every window small call for more.
func (s *scaler) most(c *conditions) int {
	if c.allowed < enoughRoom*c.demand {
		return maxStripes
	}
	return manyStripes
}

// step looks at the conditions, and reports whether the wanted number has changed.
func (s *scaler) step(now time.Time, c *conditions) bool {
	least := min(manyStripes, max(minStripes, int(math.Ceil(enoughRoom*c.demand*c.rtt.Seconds()/firstWindow))))
	want := s.want
	switch {
	case s.full(c):
	case least > want:
		want = least // the windows of what is dialled now are not small yet
	case (c.allowed < enoughRoom*c.demand || c.waits) && c.stripes >= want &&
		now.Sub(s.changed) >= max(growPause, 4*c.rtt):
		want = min(s.most(c), want+max(1, want/4))
	}
	switch {
	case c.allowed <= muchRoom*c.demand || want > s.want || want <= least:
		s.ample = time.Time{}
	case s.ample.IsZero():
		s.ample = now
	case now.Sub(s.ample) >= unneeded:
		want -= max(1, want/4) // what is left has still more room than enough
		want = max(want, least)
		s.ample = now
	}
	if want == s.want {
		return false
	}
	s.want, s.changed = want, now
	return true
}
