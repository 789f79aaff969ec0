package routing

import (
	"maps"
	"testing"
	"time"
)

func measures(list map[string]Measure) Matrix {
	m := Matrix{}
	for pair, d := range list {
		m[RegionPair{pair[:2], pair[3:]}] = d
	}
	return m
}

func TestRoutes(t *testing.T) {
	ms := func(rtt int, loss float64) Measure { return Measure{time.Duration(rtt) * time.Millisecond, loss} }
	both := func(from, to, via string) RouteTable { return RouteTable{{from, to}: via, {to, from}: via} }
	for name, c := range map[string]struct {
		matrix Matrix
		before RouteTable
		want   RouteTable
	}{
		"nothing is measured":      {nil, nil, RouteTable{}},
		"direct where it is short": {measures(map[string]Measure{"eu-us": ms(90, 0), "us-ap": ms(160, 0), "eu-ap": ms(170, 0)}), nil, RouteTable{}},
		"a detour that is shorter": {measures(map[string]Measure{"eu-us": ms(90, 0), "us-ap": ms(100, 0), "eu-ap": ms(290, 0)}), nil, both("eu", "ap", "us")},
		"a lossy long way in two halves": {
			measures(map[string]Measure{"eu-in": ms(120, 0.01), "in-au": ms(130, 0.01), "eu-au": ms(250, 0.02)}), nil, both("eu", "au", "in"),
		},
		"a much cleaner way may be longer": {
			measures(map[string]Measure{"eu-us": ms(90, 0), "us-za": ms(200, 0.001), "eu-za": ms(160, 0.05)}), nil, both("eu", "za", "us"),
		},
		"longer and not much cleaner": {
			measures(map[string]Measure{"eu-us": ms(100, 0.02), "us-za": ms(130, 0.02), "eu-za": ms(160, 0.05)}), nil, RouteTable{},
		},
		"a small gain does not begin a detour": {
			measures(map[string]Measure{"eu-us": ms(90, 0), "us-ap": ms(140, 0), "eu-ap": ms(250, 0)}), nil, RouteTable{},
		},
		"and does not end one": {
			measures(map[string]Measure{"eu-us": ms(90, 0), "us-ap": ms(140, 0), "eu-ap": ms(250, 0)}),
			both("eu", "ap", "us"), both("eu", "ap", "us"),
		},
		"a loss ends one": {
			measures(map[string]Measure{"eu-us": ms(90, 0), "us-ap": ms(170, 0), "eu-ap": ms(250, 0)}), both("eu", "ap", "us"), RouteTable{},
		},
		"half of the way is not measured": {
			measures(map[string]Measure{"eu-us": ms(90, 0), "eu-ap": ms(290, 0)}), nil, RouteTable{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Routes(c.matrix, c.before)
			if !maps.Equal(got, c.want) {
				t.Errorf("routes %v, want %v", got, c.want)
			}
		})
	}
}

func TestDetoursDoNotChain(t *testing.T) {
	// On a line of regions every further one would be best reached through the one before it.
	m := Matrix{}
	names := []string{"a", "b", "c", "d", "e"}
	for i, from := range names {
		for j, to := range names {
			steps := time.Duration(max(i-j, j-i))
			if steps > 0 {
				m[RegionPair{from, to}] = Measure{RTT: steps * steps * 50 * time.Millisecond}
			}
		}
	}
	table := Routes(m, nil)
	if len(table) == 0 {
		t.Fatal("there are no detours")
	}
	for pair, via := range table {
		if via == pair.From || via == pair.To || table.Via(pair.From, via) != "" {
			t.Errorf("from %s to %s through %s, which is reached through %q", pair.From, pair.To, via, table.Via(pair.From, via))
		}
	}
}
