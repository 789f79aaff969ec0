package origin

import (
	"slices"
	"testing"
	"time"
)

func TestRepairAsksAndGivesUp(t *testing.T) {
	now := time.Unix(1000, 0)
	var r repair
	r.skipped(10, 14, now)
	if got := r.due(now, nil); len(got) != 0 {
		t.Fatalf("asked at once for %v; they may only be out of order", got)
	}
	now = now.Add(20 * time.Millisecond)
	if got := r.due(now, nil); !slices.Equal(got, []uint16{11, 12, 13}) {
		t.Fatalf("asked for %v", got)
	}
	if got := r.due(now.Add(tick), nil); len(got) != 0 {
		t.Fatalf("asked again within a round trip for %v", got)
	}
	r.came(12)
	for range repairTries {
		now = now.Add(repairEvery)
		r.due(now, nil)
	}
	if r.lost != 2 || r.repaired != 1 || len(r.missing) != 0 {
		t.Fatalf("lost %d, repaired %d, still missing %d", r.lost, r.repaired, len(r.missing))
	}
}

func TestRepairIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	var r repair
	r.skipped(0, 900, now)
	if len(r.missing) != maxMissing || r.lost != 899-maxMissing {
		t.Fatalf("%d missing, %d lost", len(r.missing), r.lost)
	}
	r.skipped(900, 900+2*window, now)
	if len(r.missing) != maxMissing {
		t.Fatalf("a new beginning was taken for a loss: %d missing", len(r.missing))
	}
}

func TestRepairStopsAskingWhoNeverAnswers(t *testing.T) {
	now := time.Unix(1000, 0)
	var r repair
	r.lost = repairGiveUp + 1
	r.skipped(1, 3, now)
	if got := r.due(now.Add(time.Second), nil); len(got) != 0 {
		t.Fatalf("asked for %v", got)
	}
	r.repaired = 1
	if got := r.due(now.Add(2*time.Second), nil); len(got) != 1 {
		t.Fatalf("asked for %v", got)
	}
}
