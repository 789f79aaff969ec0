package routing

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lyceum/geo"
	"lyceum/mesh/gossip"
)

var (
	frankfurt = edgeAt("frankfurt", "eu-central", geo.Point{Lat: 50.11, Lon: 8.68})
	singapore = edgeAt("singapore", "ap-southeast", geo.Point{Lat: 1.35, Lon: 103.82})
	virginia  = edgeAt("virginia", "us-east", geo.Point{Lat: 39.04, Lon: -77.49})
	mumbai    = geo.Place{Known: true, Source: "geoip", City: "Mumbai", Country: "IN", Point: geo.Point{Lat: 19.08, Lon: 72.88}}
	noon      = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func edgeAt(id, region string, p geo.Point) gossip.Member {
	return gossip.Member{
		ID: id, Region: region, Place: p, Alive: true, Roles: gossip.Edge | gossip.Origin,
		URL: "https://" + id + ".example", Load: gossip.Load{Limit: 1000},
	}
}

func with(m gossip.Member, change func(*gossip.Member)) gossip.Member {
	change(&m)
	return m
}

func TestAssign(t *testing.T) {
	campus := mumbai
	campus.Source, campus.Campus, campus.Nodes = "campus", "IIT", []string{"virginia"}
	region := mumbai
	region.Source, region.Campus, region.Region = "campus", "IIT", "eu-central"
	full := with(singapore, func(m *gossip.Member) { m.Load.Sessions = 1000 })
	for name, c := range map[string]struct {
		rq      Request
		members []gossip.Member
		want    string // edge and fallbacks
		why     string
	}{
		"the nearest": {
			Request{Place: mumbai, Asker: "frankfurt"},
			[]gossip.Member{frankfurt, singapore, virginia},
			"singapore frankfurt virginia", "km away",
		},
		"an unknown place is served where it asked": {
			Request{Asker: "virginia"},
			[]gossip.Member{frankfurt, singapore, virginia},
			"virginia frankfurt singapore", "not known",
		},
		"an unknown place near an asked node that is draining": {
			Request{Asker: "virginia"},
			[]gossip.Member{frankfurt, singapore, with(virginia, func(m *gossip.Member) { m.Draining = true })},
			"frankfurt singapore", "nearest to virginia",
		},
		"a campus's own edge before nearer ones": {
			Request{Place: campus, Asker: "frankfurt"},
			[]gossip.Member{frankfurt, singapore, virginia},
			"virginia singapore frankfurt", "serves",
		},
		"a campus's region": {
			Request{Place: region, Asker: "frankfurt"},
			[]gossip.Member{frankfurt, singapore, virginia},
			"frankfurt singapore virginia", "region of",
		},
		"not a full one":   {Request{Place: mumbai}, []gossip.Member{frankfurt, full, virginia}, "frankfurt virginia", ""},
		"not one to avoid": {Request{Place: mumbai, Avoid: []string{"singapore"}}, []gossip.Member{frankfurt, singapore}, "frankfurt", ""},
		"not a dead one": {
			Request{Place: mumbai},
			[]gossip.Member{frankfurt, with(singapore, func(m *gossip.Member) { m.Alive = false })},
			"frankfurt", "",
		},
		"not one that is no edge": {
			Request{Place: mumbai},
			[]gossip.Member{frankfurt, with(singapore, func(m *gossip.Member) { m.Roles = gossip.Origin })},
			"frankfurt", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a Assigner
			as, err := a.Assign(c.rq, c.members, noon)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{as.Edge.ID}
			for _, f := range as.Fallbacks {
				got = append(got, f.ID)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("edge and fallbacks %v, want %s", got, c.want)
			}
			if !strings.Contains(as.Why, c.why) {
				t.Errorf("why: %q, want %q in it", as.Why, c.why)
			}
		})
	}
}

func TestNobodyLeftToServe(t *testing.T) {
	var a Assigner
	if _, err := a.Assign(Request{Avoid: []string{"frankfurt"}}, []gossip.Member{frankfurt}, noon); !errors.Is(err, ErrNoEdge) {
		t.Errorf("error %v, want ErrNoEdge", err)
	}
}

func TestBurstSpreadsBeforeTheCountArrives(t *testing.T) {
	small := with(singapore, func(m *gossip.Member) { m.Load.Limit = 100 })
	var a Assigner
	got := map[string]int{}
	for range 500 {
		as, err := a.Assign(Request{Place: mumbai}, []gossip.Member{frankfurt, small, virginia}, noon)
		if err != nil {
			t.Fatal(err)
		}
		got[as.Edge.ID]++
	}
	if got["singapore"] > 100 || got["singapore"] == 0 {
		t.Errorf("%d students sent to an edge of 100 seats whose count has not arrived", got["singapore"])
	}
	as, err := a.Assign(Request{Place: mumbai}, []gossip.Member{frankfurt, small, virginia}, noon.Add(provisional+time.Millisecond))
	if err != nil || as.Edge.ID != "singapore" {
		t.Errorf("%v %v: students who were sent some seconds ago must count no more", as.Edge.ID, err)
	}
}

func TestOnlyAClearlyBetterEdgeIsWorthARedirect(t *testing.T) {
	near := with(frankfurt, func(m *gossip.Member) { m.ID = "vienna"; m.Place = geo.Point{Lat: 48.2, Lon: 16.37} })
	berlin := geo.Place{Known: true, Point: geo.Point{Lat: 52.5, Lon: 13.4}}
	for name, c := range map[string]struct {
		rq   Request
		all  []gossip.Member
		send bool
		to   string
	}{
		"from another continent":  {Request{Place: mumbai, Asker: "virginia"}, []gossip.Member{singapore, virginia}, true, "singapore"},
		"from the next country":   {Request{Place: berlin, Asker: "vienna"}, []gossip.Member{frankfurt, near}, false, ""},
		"from a place not known":  {Request{Asker: "virginia"}, []gossip.Member{singapore, virginia}, false, ""},
		"from a node that drains": {Request{Asker: "vienna"}, []gossip.Member{frankfurt, with(near, func(m *gossip.Member) { m.Draining = true })}, true, "frankfurt"},
	} {
		t.Run(name, func(t *testing.T) {
			var a Assigner
			as, send, err := a.Better(c.rq, c.all, noon)
			if err != nil || send != c.send || (send && as.Edge.ID != c.to) {
				t.Errorf("send %t to %s (%v), want %t to %q", send, as.Edge.ID, err, c.send, c.to)
			}
		})
	}
}

func TestBurstOfRedirectsSpreadsToo(t *testing.T) {
	small := with(singapore, func(m *gossip.Member) { m.Load.Limit = 100 })
	var a Assigner
	got := map[string]int{}
	for range 500 {
		as, send, err := a.Better(Request{Place: mumbai, Asker: "virginia"}, []gossip.Member{frankfurt, small, virginia}, noon)
		if err != nil || !send {
			t.Fatalf("send %t: %v", send, err)
		}
		got[as.Edge.ID]++
	}
	if got["singapore"] > 100 || got["singapore"] == 0 {
		t.Errorf("%d students sent on to an edge of 100 seats whose count has not arrived", got["singapore"])
	}
}
