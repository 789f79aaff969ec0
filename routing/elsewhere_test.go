package routing

import (
	"testing"

	"lyceum/mesh/gossip"
)

func TestElsewhereIsANodeThatCanTakeThem(t *testing.T) {
	able := gossip.Member{ID: "b", Alive: true, Roles: gossip.Edge | gossip.Origin, URL: "https://b"}
	change := func(f func(*gossip.Member)) gossip.Member {
		m := able
		f(&m)
		return m
	}
	for name, c := range map[string]struct {
		other            gossip.Member
		student, teacher bool
	}{
		"another node":        {able, true, true},
		"this node alone":     {change(func(m *gossip.Member) { m.ID = "a" }), false, false},
		"a dead one":          {change(func(m *gossip.Member) { m.Alive = false }), false, false},
		"one that is emptied": {change(func(m *gossip.Member) { m.Draining = true }), false, false},
		"an edge":             {change(func(m *gossip.Member) { m.Roles = gossip.Edge }), true, false},
		"an origin":           {change(func(m *gossip.Member) { m.Roles = gossip.Origin }), false, true},
		"a full one":          {change(func(m *gossip.Member) { m.Load = gossip.Load{Sessions: 5, Limit: 5} }), false, true},
	} {
		student, teacher := Elsewhere("a", []gossip.Member{c.other})
		if student != c.student || teacher != c.teacher {
			t.Errorf("%s: students %t, teachers %t", name, student, teacher)
		}
	}
}
