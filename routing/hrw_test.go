package routing

import (
	"fmt"
	"math"
	"testing"
)

func TestHashIsTheSameOnEveryMachine(t *testing.T) {
	// Nodes of different releases work in one cluster: these numbers never change.
	room := roomKey("algebra")
	a, b := nodeKey(room, "frankfurt"), nodeKey(room, "singapore")
	got := [...]uint64{room, a, b, pairKey(a, b)}
	want := [...]uint64{0xbddd5cf058d4c588, 0x1a34d628ca7e6b3b, 0x5e032ed63a9670d2, 0xbce07d376f701ed6}
	if got != want {
		t.Errorf("hashes %#x, want %#x", got, want)
	}
}

func TestRendezvousSharesByWeight(t *testing.T) {
	weights := map[string]float64{"small": 1, "alike": 1, "large": 2}
	const rooms = 20_000
	won := map[string]int{}
	for i := range rooms {
		room := roomKey(fmt.Sprintf("room-%d", i))
		best, highest := "", math.Inf(-1)
		for node, w := range weights {
			if s := score(nodeKey(room, node), w); s > highest {
				best, highest = node, s
			}
		}
		won[best]++
	}
	for node, w := range weights {
		if share := float64(won[node]) / rooms; math.Abs(share-w/4) > 0.015 {
			t.Errorf("%s has %.3f of the rooms, want %.3f", node, share, w/4)
		}
	}
}

func TestScoreIsANumberForEveryHash(t *testing.T) {
	for _, key := range []uint64{0, 1, math.MaxUint64 - 1, math.MaxUint64} {
		if s := score(key, 1); math.IsNaN(s) || math.IsInf(s, 0) || s <= 0 {
			t.Errorf("the score of %#x is %v", key, s)
		}
	}
}
