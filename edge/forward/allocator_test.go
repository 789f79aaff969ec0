package forward

import (
	"math"
	"testing"
	"testing/quick"
)

// served is an Allocator for one camera and the teacher's voice, asked every 100 ms.
type served struct {
	t     *testing.T
	a     Allocator
	wants []Want
	now   int64
	steps int
}

func newServed(t *testing.T) *served {
	return &served{t: t, wants: []Want{lecturer, face}, now: 1}
}

// with offers a budget for some tenths of a second.
func (s *served) with(budget float64, tenths int) {
	for range tenths {
		s.now += 100_000
		before := s.a.Granted(1)
		if s.a.Decide(budget, s.wants, s.now); s.a.Granted(1) != before {
			s.steps++
		}
	}
}

func (s *served) expect(what string, layers int) {
	s.t.Helper()
	if got := s.a.Granted(1); got != layers {
		s.t.Errorf("%s: %d layers, want %d", what, got, layers)
	}
}

func TestAllIsServedUntilSomethingIsKnown(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.expect("at first", 3)
	if need := s.a.Lacks(s.wants, s.now); need != 0 {
		t.Errorf("whoever has all lacks %.0f bit/s", need)
	}
}

func TestDownAtOnceWhereMuchIsMissing(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.with(300_000, 1)
	s.expect("300 kbit/s", 1)
	s.with(100_000, 1)
	s.expect("below the floor", 0)
	if s.a.Granted(0) != 1 {
		t.Error("the teacher's voice is not served")
	}
}

func TestALittleTooMuchIsForgivenForAMoment(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.with(1_200_000, 10)
	s.expect("a little too much for a second", 3)
	s.with(2_000_000, 5)
	s.with(1_200_000, 10)
	s.expect("again, after room", 3)
	s.with(1_200_000, 10)
	s.expect("too much for too long", 2)
}

func TestUpOnlyAfterRoomForSomeTime(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.with(300_000, 1)
	s.with(2_000_000, 48)
	s.expect("soon after the step down", 1)
	s.with(2_000_000, 4)
	s.expect("5 s after it", 3)

	s = newServed(t)
	s.with(Unknown, 1)
	s.with(300_000, 100)
	s.steps = 0
	for range 20 {
		s.with(2_000_000, 4)
		s.with(300_000, 1)
	}
	if s.steps != 0 {
		t.Errorf("%d steps while there is room only for moments", s.steps)
	}
}

func TestAStepUpThatFailsMakesTheNextOneWait(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.with(300_000, 1)
	for _, hold := range []int{50, 100, 200, 400, 400} { // tenths of a second
		s.with(2_000_000, hold-2)
		s.expect("before the time", 1)
		s.with(2_000_000, 3)
		s.expect("at the time", 3)
		s.with(300_000, 1)
		s.expect("it was too much", 1)
	}
	s.with(2_000_000, 402)
	s.with(2_000_000, 160)
	s.with(300_000, 1)
	s.with(2_000_000, 52)
	s.expect("a step up that lasted is forgiven", 3)
}

// TestANetworkAtALayersEdgeDoesNotFlap lets the budget swing around what a layer needs.
func TestANetworkAtALayersEdgeDoesNotFlap(t *testing.T) {
	for _, at := range []float64{face.Rates[1], face.Rates[2], face.Rates[1] * 1.12, face.Rates[2] * 0.9} {
		s := newServed(t)
		s.with(Unknown, 1)
		s.with(1_000_000, 1)
		s.steps = 0
		for i := range 600 { // ten minutes
			s.with((at+40_000)*(1+0.08*math.Sin(float64(i))), 10)
		}
		if s.steps > 12 {
			t.Errorf("around %.0f bit/s there are %d steps in ten minutes", at, s.steps)
		}
	}
}

func TestAWishIsFollowedAtOnce(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.wants = []Want{lecturer, {Class: Camera, Rates: face.Rates[:1]}}
	s.with(Unknown, 1)
	s.expect("the lowest layer is wished for", 1)
	if need := s.a.Lacks(s.wants, s.now); need != 0 {
		t.Errorf("whoever has what it wishes lacks %.0f bit/s", need)
	}
	s.wants[1].Rates = face.Rates
	s.with(Unknown, 1)
	s.expect("all again", 3)
}

func TestWhatIsLackingIsWhatAllTakes(t *testing.T) {
	s := newServed(t)
	s.with(Unknown, 1)
	s.with(300_000, 1)
	if need := s.a.Lacks(s.wants, s.now); need != 0 {
		t.Errorf("right after a step down there is a search for %.0f bit/s", need)
	}
	s.with(300_000, 100)
	if need, all := s.a.Lacks(s.wants, s.now), 1_440_000.0; need < all || need > 1.25*all {
		t.Errorf("%.0f bit/s are lacking, want a little more than %.0f", need, all)
	}
}

// TestAnyBudgetAndAnyTracksAreTaken feeds nonsense.
func TestAnyBudgetAndAnyTracksAreTaken(t *testing.T) {
	err := quick.Check(func(budgets []float64, rates [][]float64, class []uint8) bool {
		var a Allocator
		wants := make([]Want, len(rates))
		for i := range wants {
			wants[i].Rates = rates[i]
			if i < len(class) {
				wants[i].Class = Class(class[i]) % classes
			}
		}
		for i, b := range append(budgets, math.NaN(), math.Inf(1), math.Inf(-1), 0) {
			a.Decide(b, wants, int64(i)*1_000_000)
			for k := range wants[:min(len(wants), MaxWants)] {
				if g := a.Granted(k); g < 0 || g > len(wants[k].Rates) {
					return false
				}
			}
		}
		return true
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestForgiveLetsTheNextStepUpComeAtOnce(t *testing.T) {
	wants := []Want{{Class: Camera, Rates: []float64{150_000, 450_000}}}
	var a Allocator
	a.Decide(2_000_000, wants, 1)
	a.Decide(200_000, wants, 1_000_000)
	if a.Granted(0) != 1 {
		t.Fatalf("%d layers after a step down", a.Granted(0))
	}
	a.Decide(2_000_000, wants, 1_100_000)
	a.Decide(2_000_000, wants, 1_700_000)
	if a.Granted(0) != 1 {
		t.Error("it goes up at once after a step down")
	}
	a.Forgive()
	a.Decide(2_000_000, wants, 1_800_000)
	a.Decide(2_000_000, wants, 2_400_000)
	if a.Granted(0) != 2 {
		t.Error("it does not go up though the step down was forgiven")
	}
}
