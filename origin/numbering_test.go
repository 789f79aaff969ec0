package origin

import (
	"math/rand/v2"
	"testing"
)

func begun() *numbering {
	n := &numbering{}
	n.begin(1000, 500)
	return n
}

func TestNumbersAreContiguousAcrossWrapAndPadding(t *testing.T) {
	n := begun()
	seq, ts := uint16(65530), uint32(0xffff_f000)
	want := uint64(1000)
	for i := range 3000 {
		empty := i%7 == 3
		if i%4 == 0 {
			ts += 3000
		}
		p, v := n.arrive(seq, ts, empty)
		seq++
		if empty {
			if v != drop {
				t.Fatalf("padding %d: verdict %d", i, v)
			}
			continue
		}
		if v != keep || p.number != want {
			t.Fatalf("packet %d: number %d, want %d (verdict %d)", i, p.number, want, v)
		}
		want++
	}
}

func TestALatePacketFindsItsPlaceAndFrame(t *testing.T) {
	n := begun()
	type step struct {
		seq    uint16
		ts     uint32
		number uint64
		frame  uint64
		v      verdict
	}
	for i, s := range []step{
		{10, 100, 1000, 500, keep},
		{11, 100, 1001, 500, keep},
		{15, 400, 1005, 504, keep}, // 12, 13 and 14 are missing: up to three frames
		{13, 300, 1003, 502, keep}, // a whole frame was late
		{12, 300, 1002, 502, keep}, // its other packet
		{13, 300, 0, 0, duplicate},
		{14, 400, 1004, 504, keep}, // belongs to what came after
		{16, 500, 1006, 505, keep},
		{9, 90, 0, 0, tooOld}, // before the first of all
	} {
		p, v := n.arrive(s.seq, s.ts, false)
		if v != s.v || v == keep && (p.number != s.number || p.frame != s.frame) {
			t.Errorf("step %d: %+v verdict %d, want %+v", i, p, v, s)
		}
	}
}

func TestLatePaddingLeavesAHole(t *testing.T) {
	n := begun()
	n.arrive(1, 1, false)
	n.arrive(3, 2, false)
	if _, v := n.arrive(2, 2, true); v != drop {
		t.Fatalf("verdict %d", v)
	}
	if p, _ := n.arrive(4, 2, false); p.number != 1003 {
		t.Fatalf("number %d, want 1003: the place of 2 stays empty", p.number)
	}
}

func TestAPublisherThatBeginsAnewIsBelieved(t *testing.T) {
	n := begun()
	n.arrive(30000, 1, false)
	if p, v := n.arrive(50000, 2, false); v != keep || p.number != 1002 {
		t.Fatalf("a jump ahead: %+v verdict %d, want number 1002 after one hole", p, v)
	}
	last := uint64(0)
	for i := range uint16(anew) {
		p, v := n.arrive(45000+i, 3, false)
		if kept := v == keep; kept != (i == anew-1) {
			t.Fatalf("packet %d of the lower numbers: verdict %d", i, v)
		}
		last = p.number
	}
	if p, v := n.arrive(45000+anew, 3, false); v != keep || p.number != last+1 {
		t.Fatalf("after the new beginning: %+v verdict %d, want number %d", p, v, last+1)
	}
}

// Whatever the order of arrival within the window, each packet gets one number, and numbers and frames agree in order.
func TestNumbersDoNotDependOnTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		const count = 600
		order := rng.Perm(count - 1)
		n := begun()
		n.arrive(65000, 0, false)
		numbers := map[uint64]uint16{1000: 0}
		frames := make([]uint64, count)
		frames[0] = 500
		for i := 0; i < len(order); i += 30 { // shuffled within blocks that come in order
			block := order[i:min(i+30, len(order))]
			for j := range block {
				block[j] = i + j
			}
			rng.Shuffle(len(block), func(a, b int) { block[a], block[b] = block[b], block[a] })
		}
		for _, x := range order {
			seq := uint16(x + 1)
			p, v := n.arrive(65000+seq, uint32(seq/3), false)
			if v != keep {
				t.Fatalf("packet %d: verdict %d", seq, v)
			}
			if other, ok := numbers[p.number]; ok {
				t.Fatalf("packets %d and %d have the number %d", seq, other, p.number)
			}
			numbers[p.number] = seq
			frames[seq] = p.frame
			if p.number != 1000+uint64(seq) {
				t.Fatalf("packet %d has number %d", seq, p.number)
			}
		}
		for i := 1; i < count; i++ {
			if frames[i] < frames[i-1] {
				t.Fatalf("packet %d is in frame %d, the one before in %d", i, frames[i], frames[i-1])
			}
			if i%3 != 0 && frames[i] != frames[i-1] {
				t.Fatalf("packets %d and %d share a timestamp but not a frame (%d, %d)", i-1, i, frames[i-1], frames[i])
			}
		}
	}
}
