package routing

import (
	"cmp"
	"slices"
	"time"

	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

// defaultFanOut is how many nodes of one region get a room from the same node. A child of three layers costs about a
// hundredth of a core, and the uplink of a small node carries eight.
const defaultFanOut = 8

// View is what one node knows of the mesh when it plans. Two nodes with the same view, but for Self, make plans that
// fit together; while their views differ, the path in each subscription refuses a loop.
type View struct {
	// Self is the node that plans.
	Self string
	// Members are all nodes, in any order.
	Members []gossip.Member
	// RTT is the round trip between two nodes as far as it is known. Nil: none is.
	RTT func(a, b string) (time.Duration, bool)
	// Routes names the detours between regions. Nil: there are none.
	Routes RouteTable
	// FanOut bounds the children that a node has in its own region. 0 means 8. A home has one more for each other
	// region, and so has a node of a region through which others are reached.
	FanOut int
	// Weight is how much of the work a node takes compared with others; one of weight 0 feeds nobody. Nil: all the same.
	Weight func(*gossip.Member) float64
	// Avoid names nodes that failed this one lately.
	Avoid []string
}

// Plan is where a node gets a room from.
type Plan struct {
	// Parent is the node to subscribe at, "" at the home.
	Parent string
	// Standby is the node to turn to when the parent fails, "" when there is none.
	Standby string
	// Tier is the number of hops to the home. A parent's tier is always smaller.
	Tier int
	// Why says in a sentence what decided.
	Why string
	// Hubs feed the others of the region, the one that all of them hang on first. In the home's region that one is the
	// home, and is not listed.
	Hubs []string
}

// Parent plans from where a node gets a room.
//
// Each region is a tree of at most two steps. Its root is the home in the home's own region and elsewhere the best hub
// by rendezvous hashing, the only one to pull from outside: one copy enters a region, however many of its nodes want
// it. The first FanOut nodes by rank hang on the root, some hubs and the root's heir among them, and the others on those
// hubs, each on the one that suits it best and has room. So the way home ends after four hops at most: a node, a hub, the root of the
// region, perhaps the root of a region in between, the home.
//
// The home cannot be replaced and is named even when gossip believes it dead or it is draining: whether it can be
// reached is found by dialling it. Every other node that is dead, draining or to be avoided feeds nobody.
func Parent(room directory.Room, v View) (Plan, error) {
	if room.Home == "" {
		return Plan{}, ErrNoHome
	}
	if room.Home == v.Self {
		return Plan{Why: v.Self + " is the home"}, nil
	}
	p := newPlanner(room, &v)
	if p.self == nil || p.home == nil {
		return Plan{
			Parent: room.Home, Tier: 1, Why: room.Home + " is the home, and where it or " + v.Self + " stands in the mesh is not known",
		}, nil
	}
	s := p.step()
	plan := Plan{Parent: s.parent, Tier: s.tier, Why: s.why, Hubs: s.hubs}
	if plan.Parent == "" {
		plan.Parent, plan.Tier, plan.Why = room.Home, 1, room.Home+" is the home, and nobody stands in for it"
	}
	p.away = plan.Parent
	plan.Standby = p.step().parent
	return plan, nil
}

// planner answers for one room and one node.
type planner struct {
	view       *View
	key        uint64 // of the room
	self, home *gossip.Member
	away       string // a node that is taken away, besides those to be avoided
}

func newPlanner(room directory.Room, v *View) planner {
	p := planner{view: v, key: roomKey(room.Name)}
	for i := range v.Members {
		m := &v.Members[i]
		if m.ID == v.Self {
			p.self = m
		}
		if m.ID == room.Home {
			p.home = m
		}
	}
	return p
}

// width is how many children of its region a node has at most.
func (p *planner) width() int { return cmp.Or(p.view.FanOut, defaultFanOut) }

// step is one answer.
type step struct {
	parent string // "" for none
	tier   int
	why    string
	hubs   []string
}

// leaf is a node of one region, as the room ranks it.
type leaf struct {
	node          *gossip.Member
	key           uint64
	weight, score float64
	hub           bool // it may feed others
}

// usual is how many nodes a region has at most for its plan to need no memory from the heap.
const usual = 64

func (p *planner) step() step {
	region := p.leaves(make([]leaf, 0, usual), p.self.Region)
	root, tier := p.home, 0
	var heir *gossip.Member
	if p.self.Region != p.home.Region {
		root, heir = p.entrance(region)
		if root == nil {
			return p.enter("no node of " + p.self.Region + " may feed others")
		}
		tier = 1
		if p.detour() != nil {
			tier = 2
		}
		region = slices.DeleteFunc(region, func(l leaf) bool { return l.node == root })
	}
	t := p.divide(region, heir)
	hubs := t.names(root, p.home)
	var s step
	switch hub := t.hubOf(p.self); {
	case root == p.self:
		s = p.enter(p.self.ID + " is the hub of " + p.self.Region + " for this room")
	case hub != nil:
		s = step{parent: hub.ID, tier: tier + 2, why: hub.ID + " is one of the hubs below " + root.ID + ", which feeds as many as it may"}
	case root == p.home && p.out(root.ID):
		s = p.around()
	case root == p.home:
		s = step{parent: root.ID, tier: tier + 1, why: root.ID + " is the home, in the same region"}
	default:
		s = step{parent: root.ID, tier: tier + 1, why: root.ID + " is the hub of " + p.self.Region + " for this room"}
	}
	s.hubs = hubs
	return s
}

// out reports whether a node is not to be used.
func (p *planner) out(id string) bool { return id == p.away || slices.Contains(p.view.Avoid, id) }

// carries are the roles of the nodes that a room may come to.
const carries = gossip.Edge | gossip.Origin | gossip.Hub

// leaves appends the nodes of a region that may want the room, without the home, the best first. Those with the role
// of a hub feed the others; where nobody has it, everybody may.
func (p *planner) leaves(list []leaf, region string) []leaf {
	named := false
	for i := range p.view.Members {
		m := &p.view.Members[i]
		if m.Region != region || m == p.home || m != p.self && (!m.Alive || m.Roles&carries == 0 || p.out(m.ID)) {
			continue
		}
		weight := 1.0
		if p.view.Weight != nil {
			weight = p.view.Weight(m)
		}
		key := nodeKey(p.key, m.ID)
		l := leaf{node: m, key: key, weight: weight, score: score(key, weight)}
		l.hub = m.Alive && !m.Draining && m.Roles&carries != 0 && weight > 0
		named = named || l.hub && m.Roles.Has(gossip.Hub)
		list = append(list, l)
	}
	if named {
		for i := range list {
			list[i].hub = list[i].hub && list[i].node.Roles.Has(gossip.Hub)
		}
	}
	slices.SortFunc(list, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.node.ID, b.node.ID))
	})
	return list
}

// entrance is the node through which the room comes into a region, and the one that would take its place. They are
// ranked by a hash of their own: if the next hub of the region were the heir, its children would move when it follows.
func (p *planner) entrance(region []leaf) (root, heir *gossip.Member) {
	var first, second float64
	for _, l := range region {
		if !l.hub {
			continue
		}
		switch s := score(spread(^l.key), l.weight); {
		case root == nil || s > first:
			root, heir, first, second = l.node, root, s, first
		case heir == nil || s > second:
			heir, second = l.node, s
		}
	}
	return root, heir
}

// best is a node of another region, or of the home's, that gets the room from the home directly and is not this one. It
// is nil where nobody may feed others.
func (p *planner) best(region string) *gossip.Member {
	list := p.leaves(make([]leaf, 0, usual), region)
	if region != p.home.Region {
		root, _ := p.entrance(list)
		return root
	}
	for _, l := range list {
		if l.hub && l.node != p.self {
			return l.node
		}
	}
	return nil
}

// detour is the root of the region through which this node's region is reached, nil for none.
func (p *planner) detour() *gossip.Member {
	via := p.view.Routes.Via(p.home.Region, p.self.Region)
	if via == "" || via == p.self.Region || via == p.home.Region || p.view.Routes.Via(p.home.Region, via) != "" {
		return nil
	}
	return p.best(via)
}

// enter is the step of a node that brings the room into its region. When a node is taken away the step is straight to
// the home: that does not depend on the region in between.
func (p *planner) enter(why string) step {
	if p.away == "" {
		if via := p.detour(); via != nil {
			return step{parent: via.ID, tier: 2, why: why + ", and the way through " + via.Region + " is better than the direct one"}
		}
	}
	if p.out(p.home.ID) {
		return p.around()
	}
	return step{parent: p.home.ID, tier: 1, why: why + ", and " + p.home.ID + " is the home"}
}

// around is the step of a node that cannot reach the home, although others may: to the best hub of the home's region, or
// to the root of the nearest region that is not itself reached through another.
func (p *planner) around() step {
	why := p.home.ID + " is the home and not to be used from here; "
	if m := p.best(p.home.Region); m != nil {
		return step{parent: m.ID, tier: 2, why: why + m.ID + " is in its region"}
	}
	var near *gossip.Member
	var nearest time.Duration
	var tried []string
	for i := range p.view.Members {
		region := p.view.Members[i].Region
		if region == p.home.Region || region == p.self.Region || slices.Contains(tried, region) ||
			p.view.Routes.Via(p.home.Region, region) != "" {
			continue
		}
		tried = append(tried, region)
		m := p.best(region)
		if m == nil {
			continue
		}
		rtt := p.rtt(m.ID)
		if near == nil || rtt < nearest || rtt == nearest && m.ID < near.ID {
			near, nearest = m, rtt
		}
	}
	if near == nil {
		return step{}
	}
	return step{parent: near.ID, tier: 2, why: why + near.ID + " is the hub of the nearest other region"}
}

// rtt is the round trip to a node; one that is not known is long.
func (p *planner) rtt(id string) time.Duration {
	if p.view.RTT != nil {
		if d, ok := p.view.RTT(p.self.ID, id); ok {
			return d
		}
	}
	return time.Hour
}
