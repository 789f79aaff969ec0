package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lyceum/mesh/gossip"
)

// thirteen is a home and twelve nodes of its region, of which the plan hangs eight on the home and four on two hubs.
func thirteen(t *testing.T) (members []gossip.Member, onHome, onHubs, hubs []string) {
	t.Helper()
	members = slices.Concat(mesh("eu/home", "ap/tokyo"), many("eu", 12))
	for id, p := range tree(t, algebra, View{Members: members}) {
		switch {
		case id == "tokyo" || id == "home":
		case p.Parent == "home":
			onHome = append(onHome, id)
		default:
			onHubs, hubs = append(onHubs, id), p.Hubs
		}
	}
	slices.Sort(onHome)
	slices.Sort(onHubs)
	if len(onHome) != 8 || len(onHubs) != 4 || len(hubs) != 2 {
		t.Fatalf("%v hang on the home and %v on %v", onHome, onHubs, hubs)
	}
	return members, onHome, onHubs, hubs
}

func TestAdmit(t *testing.T) {
	members, onHome, onHubs, hubs := thirteen(t)
	alone := mesh("eu/home", "eu/paris")
	drained := slices.Concat(mesh("eu/home"), many("eu", 12))
	for i := range drained {
		drained[i].Draining = true
	}
	for name, c := range map[string]struct {
		child    string
		children []string
		members  []gossip.Member
		want     bool
	}{
		"whom the plan hangs on the home":      {onHome[0], slices.Concat(onHubs, onHome[1:]), members, true},
		"whom the plan hangs on a hub":         {onHubs[0], nil, members, false},
		"one of another region":                {"tokyo", slices.Concat(onHubs, onHome), members, true},
		"one that the home has never heard of": {"stranger", nil, members, false},
		"where there is nobody else":           {"paris", onHome, alone, true},
		"where nobody may feed others":         {"eu01", onHome, drained, true},
	} {
		elsewhere := Admit(algebra, View{Self: "home", Members: c.members}, c.child, c.children)
		if admitted := len(elsewhere) == 0; admitted != c.want {
			t.Errorf("%s: sent on to %v, want it admitted: %v", name, elsewhere, c.want)
		}
	}

	// A hub keeps room for those whom the plan hangs on it, and gives the rest to whoever comes.
	for _, hub := range hubs {
		plans := tree(t, algebra, View{Members: members})
		own := 0
		for _, p := range plans {
			if p.Parent == hub {
				own++
			}
		}
		var children []string
		for _, id := range onHome {
			if id == hub {
				continue
			}
			elsewhere := Admit(algebra, View{Self: hub, Members: members}, id, children)
			switch full := len(children) == defaultFanOut-own; {
			case full != (len(elsewhere) > 0):
				t.Errorf("%s has %d strangers, keeps room for %d and sends %s to %v", hub, len(children), own, id, elsewhere)
			case full && elsewhere[0] != "home":
				t.Errorf("%s is sent to %v, and belongs on the home", id, elsewhere)
			case !full:
				children = append(children, id)
			}
			if slices.Contains(elsewhere, hub) || slices.Contains(elsewhere, id) {
				t.Errorf("%s at %s is sent to %v", id, hub, elsewhere)
			}
		}
	}
}

// TestNodesWhoseViewsDifferAreFedWithinTheBound lets twelve nodes, each of which has not heard of a third of the others,
// go where their plans send them, and where they are sent on to from there.
func TestNodesWhoseViewsDifferAreFedWithinTheBound(t *testing.T) {
	members := slices.Concat(mesh("eu/home"), many("eu", 12))
	most, sent, forced, loops := 0, 0, 0, 0
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		views := map[string]View{}
		for _, m := range members {
			views[m.ID] = View{Self: m.ID, Members: slices.DeleteFunc(slices.Clone(members), func(o gossip.Member) bool {
				return o.ID != m.ID && o.ID != "home" && rng.IntN(3) == 0
			})}
		}
		room := algebra
		room.Name = fmt.Sprint("room ", seed)
		children, parents := map[string][]string{}, map[string]string{}
		for _, i := range rng.Perm(len(members)) {
			child := members[i].ID
			if child == "home" {
				continue
			}
			p, err := Parent(room, views[child])
			if err != nil {
				t.Fatal(err)
			}
			asked := map[string]bool{}
			for at, hops := p.Parent, 0; ; hops++ {
				elsewhere := Admit(room, views[at], child, children[at])
				if asked[at] || hops > 4 {
					elsewhere = nil // it has come back
					forced++
				}
				if len(elsewhere) == 0 {
					children[at], parents[child] = append(children[at], child), at
					break
				}
				asked[at] = true
				at = elsewhere[0]
				sent++
			}
		}
		for at, list := range children {
			v := views[at]
			p := newPlanner(room, &v)
			planned := p.below().children
			if most = max(most, len(list)); len(list) > max(defaultFanOut, len(planned)) {
				t.Errorf("seed %d: %s feeds %d, and its plan hangs %d on it", seed, at, len(list), len(planned))
			}
		}
		for child := range parents {
			at := child
			for n := 0; at != "home"; n++ {
				if at = parents[at]; n > len(members) {
					loops++ // which the paths of subscriptions refuse
					break
				}
			}
		}
	}
	t.Logf("nobody feeds more than %d; %d were sent on, %d had to be taken when they came back, %d would be in a loop", most, sent, forced, loops)
	if sent == 0 {
		t.Error("nobody was sent on")
	}
}
