package forward

import (
	"math"
	"math/rand/v2"
	"testing"
)

// road is an Estimator that is told what a network does, every 20 ms.
type road struct {
	e     Estimator
	now   int64
	bytes float64
	lost  float64 // by the reports, one a second
	trip  int64
	limit func() float64 // what the player tells, once a second; nil for nothing
}

func newRoad() *road { return &road{now: 1_000_000, trip: 50_000} }

// drive sends at a rate for some seconds.
func (r *road) drive(rate, seconds float64) {
	last := r.bytes
	for i := range int(seconds * 50) {
		r.now += 20_000
		r.bytes += rate / 8 / 50
		r.e.Sent(uint64(r.bytes), r.now)
		if i%50 == 49 {
			r.e.Report(r.lost, uint64((r.bytes-last)/1000), r.trip, uint64(r.bytes), r.now)
			last = r.bytes
			if r.limit != nil {
				r.e.Limit(r.limit(), r.now)
			}
		}
	}
}

func constant(v float64) func() float64 { return func() float64 { return v } }

func TestNothingIsKnownOfACalmNetwork(t *testing.T) {
	r := newRoad()
	limit := 1e6
	r.limit = func() float64 { limit *= 1.08; return limit }
	r.drive(1_500_000, 20)
	if v := r.e.Value(); !math.IsInf(v, 1) || r.e.Signs() != 0 {
		t.Errorf("%.0f bit/s and %d signs", v, r.e.Signs())
	}
}

func TestALimitThatFallsIsBelieved(t *testing.T) {
	r := newRoad()
	r.limit = constant(2_000_000)
	r.drive(1_500_000, 5)
	r.limit = constant(1_000_000)
	r.drive(1_500_000, 1)
	if v := r.e.Value(); v != 1_000_000 {
		t.Errorf("%.0f bit/s, want what the player says", v)
	}
	if r.e.Signs() != 1 || r.e.Quiet(500_000, r.now) {
		t.Errorf("%d signs", r.e.Signs())
	}
}

func TestALimitFarBelowMeansMuchLess(t *testing.T) {
	r := newRoad()
	r.limit = constant(2_000_000)
	r.drive(1_500_000, 5)
	r.limit = constant(700_000) // players measure over a second, most of which was before
	r.drive(1_500_000, 1)
	if v := r.e.Value(); v > 350_000 {
		t.Errorf("%.0f bit/s are believed of a network that has just become much narrower", v)
	}
}

func TestALimitThatGrowsProvesWhatWasSent(t *testing.T) {
	r := newRoad()
	r.limit = constant(2_000_000)
	r.drive(1_500_000, 5)
	limit := 300_000.0
	r.limit = func() float64 { limit *= 1.02; return limit }
	r.drive(1_500_000, 1)
	r.drive(250_000, 4)
	low := r.e.Value()
	r.e.Burst(true, true, r.now)
	r.drive(900_000, 3)
	if v := r.e.Value(); v < 850_000 || v > 950_000 {
		t.Errorf("from %.0f to %.0f bit/s, want the 900 kbit/s that have arrived", low, v)
	}
	r.e.Burst(false, true, r.now)
	if r.e.Signs() != 1 {
		t.Errorf("%d signs, want the first alone", r.e.Signs())
	}
}

func TestABurstSaysNothingAgainstWhatWasCarriedBefore(t *testing.T) {
	for name, spoil := range map[string]func(r *road){
		"the limit falls":         func(r *road) { r.limit = constant(120_000); r.drive(900_000, 1) },
		"the limit does not grow": func(r *road) { r.limit = constant(380_000); r.drive(900_000, 3) },
		"a tenth is lost":         func(r *road) { r.limit, r.lost = nil, 0.1; r.drive(900_000, 1) },
		"the way gets long":       func(r *road) { r.limit, r.trip = nil, 300_000; r.drive(900_000, 1) },
		"a queue grows":           func(r *road) { r.e.Full(r.now) },
		"sound is lost":           func(r *road) { r.e.Heard(0.3, r.now) },
	} {
		r := newRoad()
		r.limit = constant(2_000_000)
		r.drive(1_500_000, 5)
		r.limit = constant(400_000)
		r.drive(500_000, 1)
		limit := 400_000.0
		r.limit = func() float64 { limit *= 1.01; return limit }
		r.drive(400_000, 5)
		before, signs := r.e.Value(), r.e.Signs()
		r.e.Burst(true, true, r.now)
		spoil(r)
		if r.e.Signs() == signs {
			t.Errorf("%s: no sign", name)
		}
		if v := r.e.Value(); v < before*little {
			t.Errorf("%s: from %.0f to %.0f bit/s", name, before, v)
		}
	}
}

func TestLossOfTheAirIsNoSign(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := newRoad()
	for range 120 {
		r.lost = 0.05 + 0.02*rng.NormFloat64()
		r.drive(1_500_000, 1)
	}
	if v := r.e.Value(); !math.IsInf(v, 1) {
		t.Errorf("%.0f bit/s after loss of 5 %%", v)
	}
}

func TestHeavyLossTellsWhatHasArrived(t *testing.T) {
	r := newRoad()
	r.drive(1_500_000, 5)
	r.lost = 0.2
	r.drive(1_500_000, 1)
	if v := r.e.Value(); v < 1_100_000 || v > 1_300_000 {
		t.Errorf("%.0f bit/s after a loss of 20 %% of 1.5 Mbit/s", v)
	}
	r.lost = 0.85 // 2 seconds later the network is much narrower
	r.drive(1_500_000, 3)
	if v := r.e.Value(); v > 300_000 {
		t.Errorf("%.0f bit/s after a loss of 85 %% of 1.5 Mbit/s", v)
	}
}

func TestAFewPacketsSayNothing(t *testing.T) {
	var e Estimator
	e.Sent(0, 1)
	e.Report(1, fewest-1, 0, 10_000, 1_000_000)
	if !math.IsInf(e.Value(), 1) || e.Signs() != 0 {
		t.Errorf("%.0f bit/s because of %d packets", e.Value(), fewest-1)
	}
}

func TestWithoutLimitsWhatArrivesIsBelieved(t *testing.T) {
	r := newRoad()
	r.drive(1_500_000, 5)
	r.lost = 0.5
	r.drive(1_500_000, 1)
	r.lost = 0
	r.drive(300_000, 10)
	low := r.e.Value()
	r.drive(900_000, 4)
	if v := r.e.Value(); v < 850_000 || v > 950_000 {
		t.Errorf("from %.0f to %.0f bit/s, want the 900 kbit/s that have arrived", low, v)
	}
}

func TestATripThatGrowsIsACongestedNetwork(t *testing.T) {
	r := newRoad()
	r.drive(1_500_000, 5)
	r.trip = 300_000
	r.drive(1_500_000, 2)
	if v := r.e.Value(); v > 1_300_000 {
		t.Errorf("%.0f bit/s while packets wait for a quarter of a second", v)
	}
	if r.e.Trip() != 300_000 {
		t.Errorf("the trip is %d us", r.e.Trip())
	}
	r.trip = math.MaxInt64
	r.drive(100_000, 2)
	if r.e.Trip() > longestTrip {
		t.Errorf("a trip of %d us is believed", r.e.Trip())
	}
}

func TestALimitThatIsNoRateIsNotHeard(t *testing.T) {
	for _, bps := range []float64{math.NaN(), -1, math.Inf(-1)} {
		r := newRoad()
		r.drive(1_500_000, 2)
		if r.e.Limit(bps, r.now); r.e.Tells(r.now) || r.e.Signs() != 0 {
			t.Errorf("%v is taken for a limit", bps)
		}
	}
	r := newRoad()
	r.limit = constant(2_000_000)
	r.drive(1_500_000, 5)
	r.limit = constant(1_000_000)
	r.drive(1_500_000, 3)
	r.e.Limit(math.Inf(1), r.now)
	if v := r.e.Value(); v > highest {
		t.Errorf("%v bit/s are believed", v)
	}
}

func TestHopeIsForThoseWithAnEstimate(t *testing.T) {
	r := newRoad()
	r.e.Hope(1e6, r.now)
	if !math.IsInf(r.e.Value(), 1) {
		t.Error("hope has made a limit of none")
	}
	r.drive(1_500_000, 5)
	r.lost = 0.5
	r.drive(1_500_000, 1)
	r.e.Hope(1e6, r.now)
	if r.e.Value() != 1e6 {
		t.Errorf("%.0f bit/s", r.e.Value())
	}
	r.e.Hope(1, r.now)
	if r.e.Value() != 1e6 {
		t.Errorf("hope has made less: %.0f bit/s", r.e.Value())
	}
}

// FuzzEstimator says anything, in any order, as a hostile player can. What comes out must be a rate that a student can be
// served by.
func FuzzEstimator(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 1e6, 0.5)
	f.Add([]byte{1, 1, 1, 0, 2, 2}, math.NaN(), math.NaN())
	f.Add([]byte{1, 0, 1, 3, 1}, math.Inf(1), -1.0)
	f.Add([]byte{1, 0, 1, 3, 1}, -1e300, 1e300)
	f.Fuzz(func(t *testing.T, steps []byte, bps, lost float64) {
		if !(lost >= 0 && lost <= 1) {
			lost = 1 // RTCP has no way to say anything else than a fraction
		}
		var e Estimator
		now, bytes := int64(1), uint64(0)
		for _, s := range steps {
			now += int64(s) * 1000
			bytes += uint64(s) * 10
			switch s % 8 {
			case 0:
				e.Sent(bytes, now)
			case 1:
				e.Limit(bps, now)
			case 2:
				e.Report(lost, uint64(s), int64(bps), bytes, now)
			case 3:
				e.Burst(s&8 != 0, s&16 != 0, now)
			case 4:
				e.Heard(lost, now)
			case 5:
				e.Hope(bps, now)
			case 6:
				e.Surge(now)
			case 7:
				e.Limit(float64(s)*10_000, now)
			}
			if v := e.Value(); !(v >= 0) {
				t.Fatalf("%v bit/s", v)
			}
			if trip := e.Trip(); trip < 0 || trip > longestTrip {
				t.Fatalf("a trip of %d us", trip)
			}
		}
	})
}
