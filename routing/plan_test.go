package routing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

// mesh makes members of "region/name", each followed by marks: ~ drains, - is dead, + has the role of a hub.
func mesh(names ...string) []gossip.Member {
	var list []gossip.Member
	for _, name := range names {
		bare := strings.TrimRight(name, "~-+")
		marks := name[len(bare):]
		region, id, _ := strings.Cut(bare, "/")
		m := gossip.Member{ID: id, Region: region, Roles: gossip.Edge | gossip.Origin, Alive: true}
		m.Draining = strings.Contains(marks, "~")
		m.Alive = !strings.Contains(marks, "-")
		if strings.Contains(marks, "+") {
			m.Roles |= gossip.Hub
		}
		list = append(list, m)
	}
	return list
}

// many makes n members of a region.
func many(region string, n int) []gossip.Member {
	var list []gossip.Member
	for i := range n {
		list = append(list, mesh(fmt.Sprintf("%s/%s%02d", region, region, i))...)
	}
	return list
}

var algebra = directory.Room{Name: "algebra", Home: "home", Epoch: 7}

// tree plans for every living member but the home.
func tree(t testing.TB, room directory.Room, v View) map[string]Plan {
	t.Helper()
	plans := map[string]Plan{}
	for _, m := range v.Members {
		v.Self = m.ID
		p, err := Parent(room, v)
		if err != nil {
			t.Fatal(err)
		}
		if m.Alive {
			plans[m.ID] = p
		}
	}
	return plans
}

func TestParent(t *testing.T) {
	three := mesh("eu/home", "ap/singapore", "us/virginia")
	for name, c := range map[string]struct {
		members []gossip.Member
		self    string
		change  func(*View)
		want    string // parent, standby, tier
	}{
		"the home":             {three, "home", nil, "  0"},
		"alone in its region":  {three, "singapore", nil, "home virginia 1"},
		"in the home's region": {mesh("eu/home", "eu/paris", "eu/rome"), "paris", nil, "home rome 1"},
		"nobody else":          {mesh("eu/home", "eu/paris"), "paris", nil, "home  1"},
		"two regions, the standby beside the home": {mesh("eu/home", "eu/paris", "ap/tokyo"), "tokyo", nil, "home paris 1"},
		"no hub that drains":                       {mesh("eu/home", "ap/seoul~", "ap/tokyo"), "tokyo", nil, "home  1"},
		"a draining node still pulls":              {mesh("eu/home", "ap/seoul~", "ap/tokyo"), "seoul", nil, "tokyo home 2"},
		"no hub that is dead":                      {mesh("eu/home", "ap/seoul-", "ap/tokyo"), "tokyo", nil, "home  1"},
		"the role of a hub decides":                {mesh("eu/home", "ap/seoul+", "ap/tokyo", "ap/osaka"), "tokyo", nil, "seoul home 2"},
		"and its bearer pulls from the home":       {mesh("eu/home", "ap/seoul+", "ap/tokyo", "ap/osaka"), "seoul", nil, "home  1"},
		"a draining bearer gives way":              {mesh("eu/home", "ap/seoul+~", "ap/tokyo"), "tokyo", nil, "home  1"},
		"a home that gossip believes dead":         {mesh("eu/home-", "ap/tokyo"), "tokyo", nil, "home  1"},
		"a draining home":                          {mesh("eu/home~", "ap/tokyo"), "tokyo", nil, "home  1"},
		"a home that nobody has seen":              {mesh("ap/tokyo", "ap/osaka"), "tokyo", nil, "home  1"},
		"a node that has not seen itself":          {mesh("eu/home"), "tokyo", nil, "home  1"},
		"a hub that failed lately":                 {mesh("eu/home", "ap/seoul+", "ap/tokyo"), "tokyo", func(v *View) { v.Avoid = []string{"seoul"} }, "home  1"},
		"a home that failed lately":                {mesh("eu/home", "eu/paris", "ap/tokyo"), "tokyo", func(v *View) { v.Avoid = []string{"home"} }, "paris  2"},
		"a home that failed and nobody else":       {mesh("eu/home", "ap/tokyo"), "tokyo", func(v *View) { v.Avoid = []string{"home"} }, "home  1"},
		"the nearest region stands by": {
			mesh("eu/home", "ap/tokyo", "us/virginia", "in/mumbai"), "tokyo",
			func(v *View) {
				v.RTT = func(_, to string) (time.Duration, bool) {
					d, ok := map[string]time.Duration{"virginia": 150, "mumbai": 120}[to]
					return d * time.Millisecond, ok
				}
			}, "home mumbai 1",
		},
		"a region in between": {
			mesh("eu/home", "us/virginia", "ap/tokyo"), "tokyo",
			func(v *View) { v.Routes = RouteTable{{"eu", "ap"}: "us"} }, "virginia home 2",
		},
		"a region in between without nodes": {
			mesh("eu/home", "us/virginia~", "ap/tokyo"), "tokyo",
			func(v *View) { v.Routes = RouteTable{{"eu", "ap"}: "us"} }, "home  1",
		},
		"no weight, no hub": {
			mesh("eu/home", "ap/seoul", "ap/tokyo"), "tokyo",
			func(v *View) {
				v.Weight = func(m *gossip.Member) float64 { return map[string]float64{"tokyo": 1}[m.ID] }
			}, "home  1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := View{Self: c.self, Members: c.members}
			if c.change != nil {
				c.change(&v)
			}
			p, err := Parent(algebra, v)
			if got := fmt.Sprintf("%s %s %d", p.Parent, p.Standby, p.Tier); err != nil || got != c.want {
				t.Errorf("plan %+v (%v), want %q", p, err, c.want)
			}
			if p.Why == "" {
				t.Error("the plan does not say why")
			}
		})
	}
	if _, err := Parent(directory.Room{Name: "new"}, View{Self: "home"}); !errors.Is(err, ErrNoHome) {
		t.Errorf("error %v, want ErrNoHome", err)
	}
}

func TestOneCopyEntersARegion(t *testing.T) {
	for _, n := range []int{1, 2, 8, 9, 10, 25, 65, 66, 100} {
		plans := tree(t, algebra, View{Members: slices.Concat(mesh("eu/home"), many("ap", n))})
		fromHome, children, deepest := 0, map[string]int{}, 0
		for _, p := range plans {
			if p.Parent == "home" {
				fromHome++
			}
			children[p.Parent]++
			deepest = max(deepest, p.Tier)
		}
		if fromHome != 1 {
			t.Errorf("of %d nodes, %d pull from the home", n, fromHome)
		}
		delete(children, "")
		most := 0
		for _, c := range children {
			most = max(most, c)
		}
		if n <= 1+8*8 && most > 8 {
			t.Errorf("of %d nodes, %d hang on one", n, most)
		}
		if deepest > 3 {
			t.Errorf("of %d nodes, the deepest is %d hops from the home", n, deepest)
		}
		t.Logf("%d nodes: at most %d on one, %d hops", n, most, deepest)
	}
}

func TestHomeFeedsItsRegionItselfUntilTheBound(t *testing.T) {
	for n, want := range map[int]int{1: 1, 8: 8, 9: 8, 30: 8} {
		plans := tree(t, algebra, View{Members: slices.Concat(mesh("eu/home"), many("eu", n))})
		fromHome := 0
		for _, p := range plans {
			if p.Parent == "home" {
				fromHome++
			}
		}
		if fromHome != want {
			t.Errorf("of %d nodes of its region, %d hang on the home, want %d", n, fromHome, want)
		}
	}
}

func TestStandbyDoesNotHangOnTheNode(t *testing.T) {
	members := slices.Concat(mesh("eu/home"), many("eu", 12), many("ap", 25), many("us", 3), many("za", 1))
	for i := range 50 {
		room := directory.Room{Name: fmt.Sprintf("room-%d", i), Home: "home"}
		plans := tree(t, room, View{Members: members, Routes: RouteTable{{"eu", "za"}: "us"}})
		for id, p := range plans {
			if id == "home" {
				continue
			}
			if p.Standby == "" || p.Standby == id || p.Standby == p.Parent {
				t.Errorf("%s: %s has parent %q and standby %q", room.Name, id, p.Parent, p.Standby)
			}
			for at := p.Standby; at != "home" && at != ""; at = plans[at].Parent {
				if at == id {
					t.Errorf("%s: the standby of %s, %s, hangs on it", room.Name, id, p.Standby)
				}
			}
		}
	}
}

func TestLoadMovesNothing(t *testing.T) {
	members := slices.Concat(mesh("eu/home"), many("ap", 20))
	before := tree(t, algebra, View{Members: members})
	for i := range members {
		members[i].Load = gossip.Load{Sessions: 37 * i, Limit: 500}
	}
	for id, p := range tree(t, algebra, View{Members: members}) {
		if p.Parent != before[id].Parent || p.Standby != before[id].Standby {
			t.Errorf("%s moved from %+v to %+v", id, before[id], p)
		}
	}
}
