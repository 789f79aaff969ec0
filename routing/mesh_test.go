package routing

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

const (
	simRegions  = 12
	simNodes    = 300
	simRooms    = 200
	simStudents = 100_000
)

// world is a large mesh with its classes: who is where, without a packet being sent.
type world struct {
	rng     *rand.Rand
	members []gossip.Member
	rooms   []directory.Room
	classes [][]int // the regions that a room's students live in
	routes  RouteTable
	// students counts those of a room at a node.
	students []map[int]int
}

func regionName(i int) string { return fmt.Sprintf("region-%02d", i) }

func newWorld() *world {
	w := &world{rng: rand.New(rand.NewPCG(1, 2))}
	for i := range simNodes {
		m := gossip.Member{
			ID: fmt.Sprintf("node-%03d", i), Region: regionName(i % simRegions), Roles: gossip.Edge | gossip.Origin, Alive: true,
		}
		if i < 4*simRegions && i%simRegions == 5 {
			m.Roles |= gossip.Hub // one region names its hubs
		}
		w.members = append(w.members, m)
	}
	w.routes = w.measure(0)
	for i := range simRooms {
		w.rooms = append(w.rooms, directory.Room{
			Name: fmt.Sprintf("class-%d", i), Home: w.members[w.rng.IntN(simNodes)].ID, Epoch: uint64(i + 1),
		})
		regions := w.rng.Perm(simRegions)
		w.classes = append(w.classes, regions[:1+w.rng.IntN(5)])
		w.students = append(w.students, map[int]int{})
	}
	for range simStudents {
		w.join(w.rng.IntN(simRooms))
	}
	return w
}

// measure chooses the detours of a mesh whose regions lie on a circle, with some ways between them that are long or lossy.
// Which those are depends on the weather.
func (w *world) measure(weather uint64) RouteTable {
	rng := rand.New(rand.NewPCG(weather, 7))
	var ways []gossip.Way
	for i := range simRegions {
		for j := range simRegions {
			apart := min((i-j+simRegions)%simRegions, (j-i+simRegions)%simRegions)
			if apart == 0 {
				continue
			}
			way := gossip.Way{From: regionName(i), To: regionName(j), RTT: time.Duration(apart) * 40 * time.Millisecond, Loss: -1}
			switch rng.IntN(10) {
			case 0:
				way.RTT *= 2
			case 1:
				way.Loss = 0.06
			}
			ways = append(ways, way)
		}
	}
	return Routes(NewMatrix(ways), w.routes)
}

// join lets a student come to a living node of one of their class's regions.
func (w *world) join(room int) {
	regions := w.classes[room]
	region := regions[w.rng.IntN(len(regions))]
	for {
		at := region + simRegions*w.rng.IntN(simNodes/simRegions)
		if m := &w.members[at]; m.Alive && !m.Draining {
			w.students[room][at]++
			return
		}
	}
}

// churn lets some students leave and others come.
func (w *world) churn(n int) {
	for range n {
		room := w.rng.IntN(simRooms)
		at := slices.Sorted(maps.Keys(w.students[room]))
		w.leave(room, at[w.rng.IntN(len(at))])
		w.join(room)
	}
}

func (w *world) leave(room, at int) {
	if w.students[room][at]--; w.students[room][at] == 0 {
		delete(w.students[room], at)
	}
}

// lose takes a node away: its students go on elsewhere in the region, and its rooms get another home there.
func (w *world) lose(at int) {
	w.members[at].Alive = false
	for room := range w.rooms {
		for range w.students[room][at] {
			w.leave(room, at)
			w.join(room)
		}
		if w.rooms[room].Home == w.members[at].ID {
			next := (at + simRegions) % simNodes
			for !w.members[next].Alive {
				next = (next + simRegions) % simNodes
			}
			w.rooms[room].Home = w.members[next].ID
			w.rooms[room].Epoch += simRooms
		}
	}
}

// subscription is a room at a node.
type subscription struct {
	room int
	node string
}

// tally is what a look at the whole mesh gave.
type tally struct {
	parents                        map[subscription]string
	crossings, carried, over, deep int
}

// look plans for every node that a student or another node needs, and checks that the plans fit together.
func (w *world) look(t *testing.T) tally {
	t.Helper()
	region, named := map[string]string{}, map[string]bool{}
	for _, m := range w.members {
		region[m.ID] = m.Region
		named[m.Region] = named[m.Region] || m.Roles.Has(gossip.Hub)
	}
	sum := tally{parents: map[subscription]string{}}
	for i, room := range w.rooms {
		var open []string
		for at := range w.students[i] {
			open = append(open, w.members[at].ID)
		}
		plans := map[string]Plan{}
		for len(open) > 0 {
			node := open[len(open)-1]
			open = open[:len(open)-1]
			if _, done := plans[node]; done || node == "" {
				continue
			}
			p, err := Parent(room, View{Self: node, Members: w.members, Routes: w.routes})
			if err != nil {
				t.Fatal(err)
			}
			plans[node] = p
			open = append(open, p.Parent)
		}
		carries, entered, local := map[string]bool{}, map[string]int{}, map[string]int{}
		for node, p := range plans {
			carries[region[node]] = true
			if p.Parent == "" {
				continue
			}
			sum.parents[subscription{i, node}] = p.Parent
			sum.deep = max(sum.deep, p.Tier)
			if up := plans[p.Parent]; up.Tier >= p.Tier || p.Tier > 4 {
				t.Fatalf("%s: %s at tier %d hangs on %s at tier %d", room.Name, node, p.Tier, p.Parent, up.Tier)
			}
			if p.Parent == p.Standby || p.Standby == node || p.Standby == "" {
				t.Fatalf("%s: %s has parent %q and standby %q", room.Name, node, p.Parent, p.Standby)
			}
			if region[p.Parent] == region[node] {
				local[p.Parent]++
			} else {
				entered[region[node]]++
				sum.crossings++
			}
		}
		for r := range carries {
			want := 1
			if r == region[room.Home] {
				want = 0
			}
			if entered[r] != want {
				t.Fatalf("%s: %d copies enter %s, want %d", room.Name, entered[r], r, want)
			}
			if want == 1 {
				sum.carried++
			}
		}
		for node, children := range local {
			if children > defaultFanOut {
				sum.over++
				if !named[region[node]] {
					t.Fatalf("%s: %d nodes hang on %s, and others could take some", room.Name, children, node)
				}
			}
		}
	}
	return sum
}

// moves counts the subscriptions that have another parent than before, and those that had to.
func (a tally) moves(b tally, lost string) (moved, forced int) {
	for s, parent := range a.parents {
		now, still := b.parents[s]
		if !still || s.node == lost {
			continue
		}
		if now != parent {
			moved++
		}
		if parent == lost {
			forced++
		}
	}
	return moved, forced
}

func TestMeshOf300Nodes(t *testing.T) {
	w := newWorld()
	before := w.look(t)
	t.Logf("%d subscriptions of %d rooms, %d copies between regions for %d regions reached, deepest %d hops, %d nodes over the bound",
		len(before.parents), simRooms, before.crossings, before.carried, before.deep, before.over)
	const losses = 5
	var moved, forced, total int
	for i := range losses {
		w.churn(500) // moves nothing
		lost := w.rng.IntN(simNodes)
		for !w.members[lost].Alive {
			lost = w.rng.IntN(simNodes)
		}
		if i == 0 {
			lost = 5 // one of the few named hubs of its region, on which more hangs than on others
		}
		w.lose(lost)
		after := w.look(t)
		m, f := before.moves(after, w.members[lost].ID)
		if i > 0 {
			moved, forced, total = moved+m, forced+f, total+len(before.parents)
		}
		t.Logf("%s lost: %d of %d subscriptions moved, %d had to; %d nodes over the bound",
			w.members[lost].ID, m, len(before.parents), f, after.over)
		before = after
	}
	share, ideal := float64(moved)/float64(total), 1.0/simNodes
	t.Logf("a lost node moves %.2f %% of the subscriptions; those that hung on it were %.2f %%, 1/n is %.2f %%",
		100*share, 100*float64(forced)/float64(total), 100*ideal)
	if moved > 2*forced {
		t.Errorf("%d subscriptions moved, and only %d had to", moved, forced)
	}

	// Ways between regions change: what moves is what crosses a border, and only where the way is another one now.
	old, was := w.routes, before
	w.routes = w.measure(1)
	changed := 0
	for i := range simRegions {
		for j := range simRegions {
			if old.Via(regionName(i), regionName(j)) != w.routes.Via(regionName(i), regionName(j)) {
				changed++
			}
		}
	}
	now := w.look(t)
	m, _ := was.moves(now, "")
	t.Logf("%d of %d ways between regions changed, of which %d and now %d lead through a third one; %d of %d subscriptions moved",
		changed, simRegions*(simRegions-1), len(old), len(w.routes), m, len(was.parents))
	if changed == 0 || len(w.routes) == 0 {
		t.Error("no way has changed")
	}
	if m > was.crossings {
		t.Errorf("%d subscriptions moved, and only %d cross a border", m, was.crossings)
	}

	// A node that drains feeds nobody but goes on for its own students, and one that returns fits in.
	drains := slices.IndexFunc(w.members, func(m gossip.Member) bool { return m.Alive })
	w.members[drains].Draining = true
	for s, parent := range w.look(t).parents {
		if parent == w.members[drains].ID && w.rooms[s.room].Home != parent {
			t.Errorf("%s hangs on %s, which drains", s.node, parent)
		}
	}
	for i := range w.members {
		w.members[i].Alive, w.members[i].Draining = true, false
	}
	w.churn(2000)
	w.look(t)
}

func BenchmarkParent(b *testing.B) {
	w := newWorld()
	for name, self := range map[string]int{"another region": 4, "home region": 12 + 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			v := View{Self: w.members[self].ID, Members: w.members, Routes: w.routes}
			room := directory.Room{Name: "algebra", Home: w.members[1].ID}
			for b.Loop() {
				if _, err := Parent(room, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
