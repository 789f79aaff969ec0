package fan

import "testing"

func TestTallyCountsEachPacketOnce(t *testing.T) {
	for _, c := range []struct {
		name                     string
		sequences                []uint16
		packets, again, expected uint64
	}{
		{"in order", []uint16{7, 8, 9}, 3, 0, 3},
		{"a hole", []uint16{7, 9}, 2, 0, 3},
		{"a late packet fills its hole", []uint16{7, 9, 8}, 3, 0, 3},
		{"a duplicate", []uint16{7, 8, 8, 7}, 2, 2, 2},
		{"over the end of the numbers", []uint16{65534, 65535, 0, 2}, 4, 0, 5},
		{"one from before the first", []uint16{0, 65535, 1}, 3, 0, 3},
		{"a jump forgets what was before", []uint16{1, 5001, 4999, 4999}, 3, 1, 5001},
		{"a hole as deep as the memory", []uint16{1, 1 + tallyReach, 1}, 2, 1, 1 + tallyReach},
	} {
		t.Run(c.name, func(t *testing.T) {
			var y tally
			for _, s := range c.sequences {
				y.add(s)
			}
			if y.packets != c.packets || y.again != c.again || y.expected() != c.expected {
				t.Errorf("packets %d, again %d, expected %d; want %d, %d, %d", y.packets, y.again, y.expected(), c.packets, c.again, c.expected)
			}
		})
	}
}

func TestTallyOfManyRounds(t *testing.T) {
	var y tally
	sent, lost := uint64(0), uint64(0)
	for n := range uint64(300_000) {
		if n%1000 == 999 {
			lost++
			continue
		}
		if !y.add(uint16(n + 60_000)) {
			t.Fatalf("packet %d counts as a duplicate", n)
		}
		sent++
	}
	if y.packets != sent || y.expected()-y.packets != lost-1 { // the last one is not missed yet
		t.Errorf("%d packets and %d lost, want %d and %d", y.packets, y.expected()-y.packets, sent, lost-1)
	}
}

func TestTallyForgetsTheRoundBefore(t *testing.T) {
	var y tally
	for n := range uint16(2 * tallyReach) {
		y.add(n)
	}
	y.add(2*tallyReach + 10)
	if !y.add(2*tallyReach + 5) {
		t.Error("a late packet counts as a duplicate of the one whose place it takes")
	}
}

func TestTrackTellsWhatTheServerPassedOver(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint64
		want    int64
	}{
		{"in order", []uint64{5, 6, 7}, 0},
		{"passed over", []uint64{5, 6, 10, 11}, 3},
		{"one of them comes late", []uint64{5, 6, 10, 8}, 2},
	} {
		var tr track
		missing := int64(0)
		for _, n := range c.numbers {
			missing += tr.add(n)
		}
		if missing != c.want {
			t.Errorf("%s: %d, want %d", c.name, missing, c.want)
		}
	}
}
