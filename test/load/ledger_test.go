package main

import (
	"slices"
	"testing"
	"time"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func durations(list ...int) (d []time.Duration) {
	for _, n := range list {
		d = append(d, ms(n))
	}
	return d
}

// TestFramesInOrder writes a frame every 33 ms and lets its packets arrive so many ms after the writing; -1 is never.
func TestFramesInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		frames            [][]int
		missing           int
		complete, ordered []int
	}{
		"all in time": {
			frames:   [][]int{{50, 51}, {50}, {50, 50, 52}},
			complete: []int{51, 50, 52}, ordered: []int{51, 50, 52},
		},
		"one repaired holds up those behind": {
			frames:   [][]int{{50}, {50, 160}, {50}, {50}, {50}, {50}},
			complete: []int{50, 160, 50, 50, 50, 50}, ordered: []int{50, 160, 127, 94, 61, 50},
		},
		"packets within a frame may come in any order": {
			frames:   [][]int{{53, 52, 51}},
			complete: []int{53}, ordered: []int{53},
		},
		"one that never comes holds up nobody": {
			frames:  [][]int{{50}, {50, -1}, {50}},
			missing: 1, complete: []int{50, 50}, ordered: []int{50, 50},
		},
		"nothing came": {frames: [][]int{{-1}, {-1, -1}}, missing: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			number := uint64(1) << 40
			type arrival struct {
				id, number uint64
				at         time.Time
			}
			var arrivals []arrival
			for i, packets := range c.frames {
				at := epoch.Add(time.Duration(i) * ms(33))
				id := uint64(7 + i)
				l.sent(id, number, len(packets), i == 0, at)
				for _, d := range packets {
					if d >= 0 {
						arrivals = append(arrivals, arrival{id, number, at.Add(ms(d))})
					}
					number++
				}
			}
			for _, a := range arrivals {
				l.got(a.id, a.number, a.at, 0)
				l.got(a.id, a.number, a.at.Add(time.Hour), 0) // the second copy does not count
			}
			l.got(3, 1, epoch, 0)     // never sent
			l.got(7, 1<<50, epoch, 0) // nor this one
			d := l.delays(epoch, epoch.Add(time.Hour))
			if d.frames != len(c.frames) || d.missing != c.missing || l.whole() != (c.missing == 0) {
				t.Errorf("%d frames, %d missing, want %d and %d", d.frames, d.missing, len(c.frames), c.missing)
			}
			if want := durations(c.complete...); !slices.Equal(d.complete, want) {
				t.Errorf("complete after %v, want %v", d.complete, want)
			}
			if want := durations(c.ordered...); !slices.Equal(d.ordered, want) {
				t.Errorf("in order after %v, want %v", d.ordered, want)
			}
		})
	}
}

func TestASpanCountsItsFramesAlone(t *testing.T) {
	var l ledger
	for i := range 10 {
		at := epoch.Add(time.Duration(i) * time.Second)
		l.sent(uint64(i), uint64(2*i), 2, i == 4, at)
		late := ms(50)
		if i == 3 {
			late = ms(1500) // before the span, yet it holds up the first frame in it
		}
		l.got(uint64(i), uint64(2*i), at.Add(ms(50)), ms(50))
		l.got(uint64(i), uint64(2*i+1), at.Add(late), late)
	}
	from, to := epoch.Add(4*time.Second), epoch.Add(7*time.Second)
	d := l.delays(from, to)
	if d.frames != 3 || !slices.Equal(d.ordered, durations(500, 50, 50)) || !slices.Equal(d.keys, durations(50)) {
		t.Errorf("%+v", d)
	}
	if n := l.packets(from, to); n != 6 {
		t.Errorf("%d packets in the span, want 6", n)
	}
}

func TestALayerIsBackWhenNothingIsMissing(t *testing.T) {
	lay := func(missing ...int) *ledger {
		var l ledger
		for i := range 100 {
			l.sent(uint64(i), uint64(i), 1, false, epoch.Add(time.Duration(i)*ms(100)))
			if !slices.Contains(missing, i) {
				l.got(uint64(i), uint64(i), epoch.Add(time.Duration(i)*ms(100)), 0)
			}
		}
		return &l
	}
	since, end := epoch.Add(2*time.Second), epoch.Add(10*time.Second)
	for name, c := range map[string]struct {
		l     *ledger
		after time.Duration
		ok    bool
	}{
		"at once":               {lay(), 0, true},
		"missing before only":   {lay(5, 10), 0, true},
		"after a second":        {lay(20, 25, 29), time.Second, true},
		"a hole while it waits": {lay(20, 35), 1600 * time.Millisecond, true},
		"too late":              {lay(20, 39, 58, 77, 90), 0, false},
	} {
		if after, ok := c.l.back(since, end, 2*time.Second); after != c.after || ok != c.ok {
			t.Errorf("%s: back after %v, %t; want %v, %t", name, after, ok, c.after, c.ok)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var d []time.Duration
	for i := range 100 {
		d = append(d, ms(100-i))
	}
	if got := spread(d); got != (Spread{51, 96, 100, 100}) {
		t.Errorf("%+v", got)
	}
	if got := spread(nil); got != (Spread{}) {
		t.Errorf("of nothing %+v", got)
	}
}
