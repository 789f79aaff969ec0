package client

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

func TestSpanCountsWhatNeverCame(t *testing.T) {
	upTo := func(from, n int) (seqs []uint16) {
		for i := range n {
			seqs = append(seqs, uint16(from+i))
		}
		return seqs
	}
	for _, tc := range []struct {
		name                    string
		seqs                    []uint16
		received, doubled, lost uint64
	}{
		{"nothing", nil, 0, 0, 0},
		{"one", []uint16{7}, 1, 0, 0},
		{"in order", upTo(100, 50), 50, 0, 0},
		{"around the wrap", upTo(65530, 20), 20, 0, 0},
		{"around the wrap twice", upTo(65000, 140_000), 140_000, 0, 0},
		{"a hole", []uint16{1, 2, 5, 6}, 4, 0, 2},
		{"a hole at the wrap", []uint16{65534, 1, 2}, 3, 0, 2},
		{"repaired", []uint16{1, 2, 5, 6, 4, 3}, 6, 0, 0},
		{"repaired around the wrap", []uint16{65534, 1, 65535, 0}, 4, 0, 0},
		{"repaired twice", []uint16{1, 3, 2, 2}, 3, 1, 0},
		{"doubled", []uint16{1, 1, 2, 2, 1}, 2, 3, 0},
		{"the first was overtaken", []uint16{10, 9, 8, 11}, 4, 0, 0},
		{"the first was overtaken over a hole", []uint16{10, 8, 11}, 3, 0, 1},
		{"the first was overtaken around the wrap", []uint16{1, 65535, 0, 2}, 4, 0, 0},
		{"a long hole", []uint16{1, 20_001}, 2, 0, 19_999},
		{"far too late", append(upTo(1, 9000), 5), 9000, 1, 0},
		{"numbered anew", append(upTo(20_000, 3), 1, 2, 3, 5), 6, 1, 1},
	} {
		var s span
		for _, seq := range tc.seqs {
			s.add(seq, time.Time{})
		}
		if s.received != tc.received || s.doubled != tc.doubled || s.lost() != tc.lost {
			t.Errorf("%s: received %d, doubled %d, lost %d, want %d, %d, %d",
				tc.name, s.received, s.doubled, s.lost(), tc.received, tc.doubled, tc.lost)
		}
	}
}

func TestSpanAsksAfterARestAndAgain(t *testing.T) {
	var s span
	now := time.Unix(1, 0)
	s.add(1, now)
	s.add(4, now)
	ask := func(after time.Duration) []uint16 { return s.missing(now.Add(after), nil) }
	if got := ask(holeRest - 1); got != nil {
		t.Errorf("asked for %v at once", got)
	}
	if got := ask(holeRest); !slices.Equal(got, []uint16{2, 3}) {
		t.Errorf("asked for %v", got)
	}
	if got := ask(holeRest + holeAgain - 1); got != nil {
		t.Errorf("asked for %v again too soon", got)
	}
	s.add(2, now)
	if got := ask(holeRest + holeAgain); !slices.Equal(got, []uint16{3}) {
		t.Errorf("asked for %v after 2 came", got)
	}
	if got := ask(holeEnd); got != nil || len(s.holes) != 0 {
		t.Errorf("asked for %v, which is too old", got)
	}
	if s.lost() != 1 {
		t.Errorf("%d lost, want 1", s.lost())
	}
}

func TestSpanAsksForNoMoreThanItRemembers(t *testing.T) {
	var s span
	s.add(1, time.Time{})
	s.add(5000, time.Time{})
	if len(s.holes) != spanHoles || s.lost() != 4998 {
		t.Errorf("%d holes, %d lost", len(s.holes), s.lost())
	}
}

func TestFrozenSpanIsOnlyRepaired(t *testing.T) {
	var s span
	for _, seq := range []uint16{1, 3} {
		s.add(seq, time.Time{})
	}
	s.frozen = true
	for _, seq := range []uint16{4, 2, 9} {
		s.add(seq, time.Time{})
	}
	if s.received != 3 || s.lost() != 0 || s.doubled != 0 {
		t.Errorf("received %d, lost %d, doubled %d", s.received, s.lost(), s.doubled)
	}
}

func TestTakingAPacketAllocatesNothing(t *testing.T) {
	st := stream{video: true, rate: 90000, capture: 1, key: keyframe{codec: vp8}}
	p := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: delta}
	if err := p.SetExtension(1, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	raw, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var h rtp.Header
	var seq uint16
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		binary.BigEndian.PutUint16(raw[2:], seq)
		if a := st.take(&h, raw, now); !a.fresh || !a.media || a.captured == 0 {
			t.Errorf("packet %d: %+v", seq, a)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
