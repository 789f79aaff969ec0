package geo

import (
	"math"
	"testing"
)

func TestDistancesBetweenCities(t *testing.T) {
	mumbai, saoPaulo, singapore := Point{19.07, 72.87}, Point{-23.55, -46.63}, Point{1.35, 103.82}
	for name, c := range map[string]struct {
		p, q Point
		want float64
	}{
		"Mumbai to Singapore":   {mumbai, singapore, 3910},
		"Mumbai to Sao Paulo":   {mumbai, saoPaulo, 13785},
		"nowhere to go":         {mumbai, mumbai, 0},
		"over the date line":    {Point{0, 179.5}, Point{0, -179.5}, 111.2},
		"pole to pole":          {Point{90, 0}, Point{-90, 77}, math.Pi * earthRadius},
		"the other side":        {Point{10, 20}, Point{-10, -160}, math.Pi * earthRadius},
		"longitude at the pole": {Point{90, 10}, Point{90, -170}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, back := c.p.Kilometres(c.q), c.q.Kilometres(c.p)
			if math.Abs(got-c.want) > 0.005*c.want+1e-6 || math.Abs(got-back) > 1e-6 {
				t.Errorf("got %.1f and back %.1f, want %.1f", got, back, c.want)
			}
		})
	}
}

func TestPointsThatAreNotOnEarth(t *testing.T) {
	for _, bad := range []Point{{91, 0}, {-91, 0}, {0, 181}, {0, -181}, {math.NaN(), 0}, {0, math.Inf(1)}} {
		if bad.Valid() {
			t.Errorf("%v is valid", bad)
		}
	}
	if !(Point{-90, 180}).Valid() || !(Point{}).IsZero() {
		t.Error("a good point is refused")
	}
}
