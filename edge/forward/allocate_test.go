package forward

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	lecturer  = Want{Class: Speech, Rates: []float64{40_000}}
	answering = Want{Class: TalkBack, Rates: []float64{40_000}}
	slides    = Want{Class: Slides, Rates: []float64{100_000, 600_000}}
	face      = Want{Class: Camera, Rates: []float64{150_000, 450_000, 1_400_000}}
)

func TestANetworkIsDividedInOrderOfImportance(t *testing.T) {
	exact := Margin{Lowest: 1, Upper: 1}
	for name, c := range map[string]struct {
		budget float64
		wants  []Want
		margin Margin
		want   []int
	}{
		"nothing at all still carries the teacher's voice": {0, []Want{lecturer, answering, slides, face}, exact, []int{1, 0, 0, 0}},
		"two voices before any picture":                    {120_000, []Want{face, slides, answering, lecturer}, exact, []int{0, 0, 1, 1}},
		"no picture below the floor, though it would fit":  {149_000, []Want{lecturer, slides}, exact, []int{1, 0}},
		"slides before the camera":                         {200_000, []Want{lecturer, face, slides}, exact, []int{1, 0, 1}},
		"both lowest before more of one":                   {700_000, []Want{lecturer, slides, face}, exact, []int{1, 1, 2}},
		"more of the slides before more of the camera":     {800_000, []Want{lecturer, face, slides}, exact, []int{1, 1, 2}},
		"what the slides leave goes to the camera":         {1_100_000, []Want{lecturer, slides, face}, exact, []int{1, 2, 2}},
		"all":                    {math.Inf(1), []Want{lecturer, answering, slides, face}, exact, []int{1, 1, 2, 3}},
		"two cameras":            {700_000, []Want{lecturer, face, face}, exact, []int{1, 2, 1}},
		"a margin is kept":       {500_000, []Want{lecturer, face}, Margin{Lowest: 1, Upper: 1.1}, []int{1, 1}},
		"nobody wants a picture": {1e6, []Want{lecturer, {Class: Camera}}, exact, []int{1, 0}},
		"nobody wants anything":  {1e6, nil, exact, []int{}},
	} {
		got := make([]int, len(c.wants))
		Allocate(c.budget, c.wants, c.margin, got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestNoMoreIsGivenThanThereIs divides at random, and checks the bounds that no order of importance may break.
func TestNoMoreIsGivenThanThereIs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		wants := make([]Want, rng.IntN(MaxWants+1))
		for i := range wants {
			wants[i].Class = Class(rng.IntN(int(classes)))
			layers := 1
			if !wants[i].Class.sound() {
				layers = rng.IntN(5)
			}
			for range layers {
				wants[i].Rates = append(wants[i].Rates, rng.Float64()*1e6)
			}
			slices.Sort(wants[i].Rates)
		}
		budget, got := rng.Float64()*3e6, make([]int, len(wants))
		margin := Margin{Lowest: 0.5 + rng.Float64(), Upper: 0.5 + rng.Float64()}
		margin.Upper = max(margin.Upper, margin.Lowest)
		Allocate(budget, wants, margin, got)
		spent, voice := 0.0, 0.0
		for i, n := range got {
			if n < 0 || n > len(wants[i].Rates) {
				t.Fatalf("%d of %d layers are granted", n, len(wants[i].Rates))
			}
			if n == 0 {
				continue
			}
			if !wants[i].Class.sound() && budget < AudioOnly {
				t.Fatalf("a picture is granted by %.0f bit/s", budget)
			}
			spent += margin.cost(&wants[i], n)
			if wants[i].Class == Speech {
				voice += wants[i].Rates[0]
			}
		}
		if spent > max(budget, voice)+1 {
			t.Fatalf("%.0f of %.0f bit/s are given: %v of %+v", spent, budget, got, wants)
		}
	}
}
