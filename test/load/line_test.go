package main

import (
	"math"
	"testing"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0)

func TestLinesLoseAsTheyShould(t *testing.T) {
	const n = 400_000
	for name, p := range map[string]Path{
		"none":           {},
		"one in 1000":    {Loss: .001},
		"one in 50":      {Loss: .02},
		"bursts of 3":    {Loss: .01, Burst: 3},
		"long bursts":    {Loss: .05, Burst: 10},
		"everything":     {Loss: 1},
		"single, by one": {Loss: .01, Burst: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(p, 1)
			lost, bursts, before := 0, 0, false
			for range n {
				_, ok := l.admit(epoch, 1000)
				if !ok {
					lost++
					if !before {
						bursts++
					}
				}
				before = !ok
			}
			if got := float64(lost) / n; math.Abs(got-p.Loss) > .1*p.Loss {
				t.Errorf("%.4f of all are lost, want %.4f", got, p.Loss)
			}
			if p.Burst > 1 {
				if got := float64(lost) / float64(bursts); math.Abs(got-p.Burst) > .1*p.Burst {
					t.Errorf("bursts are %.2f long, want %.2f", got, p.Burst)
				}
			}
			if l.traffic != (Traffic{Packets: n, Bytes: n * 1000, Lost: int64(lost)}) {
				t.Errorf("counted %+v, lost %d", l.traffic, lost)
			}
		})
	}
}

func TestJitterKeepsTheOrder(t *testing.T) {
	l := newLine(Path{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}, 1)
	var last time.Time
	var sum time.Duration
	const n = 10_000
	for i := range n {
		now := epoch.Add(time.Duration(i) * 100 * time.Millisecond)
		at, _ := l.admit(now, 1000)
		d := at.Sub(now)
		if at.Before(last) || d < 30*time.Millisecond || d > 70*time.Millisecond {
			t.Fatalf("packet %d takes %v and arrives %v after the one before", i, d, at.Sub(last))
		}
		last = at
		sum += d
	}
	if mean := sum / n; mean < 49*time.Millisecond || mean > 51*time.Millisecond {
		t.Errorf("the mean delay is %v, want 50 ms", mean)
	}
}

func TestReorderedPacketsAreOvertaken(t *testing.T) {
	l := newLine(Path{Delay: 50 * time.Millisecond, Reorder: .05}, 1)
	held := 0
	const n = 20_000
	for i := range n {
		now := epoch.Add(time.Duration(i) * time.Millisecond)
		switch at, _ := l.admit(now, 1000); at.Sub(now) {
		case 50 * time.Millisecond:
		case 60 * time.Millisecond:
			held++
		default:
			t.Fatalf("packet %d takes %v", i, at.Sub(now))
		}
	}
	if share := float64(held) / n; math.Abs(share-.05) > .005 {
		t.Errorf("%.3f of all are held back, want 0.05", share)
	}
}

func TestABottleneckQueuesThenDrops(t *testing.T) {
	const (
		size = 1250 // 10,000 bits
		rate = 10_000_000
	)
	l := newLine(Path{Delay: 20 * time.Millisecond, Rate: rate, Queue: 50 * time.Millisecond}, 1)
	var first, last time.Time
	passed, longest := 0, time.Duration(0)
	for i := range 20_000 { // 20 Mbps for ten seconds
		now := epoch.Add(time.Duration(i) * 500 * time.Microsecond)
		at, ok := l.admit(now, size)
		if !ok {
			continue
		}
		if passed++; passed == 1 {
			first = at
			if d := at.Sub(now); d != 21*time.Millisecond {
				t.Errorf("the first packet takes %v, want 20 ms and 1 ms on the line", d)
			}
		}
		longest = max(longest, at.Sub(now))
		last = at
	}
	if got := float64(passed-1) * size * 8 / last.Sub(first).Seconds(); math.Abs(got-rate) > .01*rate {
		t.Errorf("%.0f bits pass in a second, want %d", got, rate)
	}
	if longest < 70*time.Millisecond || longest > 72*time.Millisecond {
		t.Errorf("the longest way takes %v, want 20 ms, 50 ms of queue and 1 ms on the line", longest)
	}
	if l.traffic.Full != int64(20_000-passed) || l.traffic.Lost != 0 {
		t.Errorf("%d of 20000 passed, counted %+v", passed, l.traffic)
	}
}

func TestACutLineLosesAll(t *testing.T) {
	l := newLine(Path{Cut: true}, 1)
	if _, ok := l.admit(epoch, 100); ok || l.traffic.Cut != 1 {
		t.Errorf("passed %t, counted %+v", ok, l.traffic)
	}
}

func TestImpossiblePathsAreRefused(t *testing.T) {
	for name, p := range map[string]Path{
		"delay": {Delay: -1}, "loss": {Loss: 1.1}, "reorder": {Reorder: -.1}, "rate": {Rate: -1}, "queue": {Queue: -1},
		"burst": {Loss: 1, Burst: 3},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: %+v passes", name, p)
		}
	}
	for _, row := range append(rows(), hops()...) {
		if err := row.Path.Validate(); err != nil {
			t.Errorf("%s: %v", row.Name, err)
		}
	}
}
