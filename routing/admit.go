package routing

import (
	"cmp"
	"slices"

	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

// Admit decides, at a parent, whether one more node of its region may get a room from it besides the children that do. It
// returns the nodes that are to be asked instead, the best first, or none if the child may come.
//
// A node always feeds those that its own plan hangs on it. Others come because they see the mesh differently; they get what
// room the bound leaves besides those, and are else sent where they belong in the parent's view, then to the hubs of the
// region, and by its root to whoever hangs on it and may feed others. Nobody is sent away when no other is known. Nodes of
// other regions always come, there is one for each; a node that nobody has heard of may be of this region.
func Admit(room directory.Room, v View, child string, children []string) (elsewhere []string) {
	p := newPlanner(room, &v)
	if p.self == nil || p.home == nil {
		return nil
	}
	members := map[string]*gossip.Member{}
	for i := range v.Members {
		members[v.Members[i].ID] = &v.Members[i]
	}
	near := func(id string) bool { return members[id] == nil || members[id].Region == p.self.Region }
	b := p.below()
	if !near(child) || slices.Contains(b.children, child) {
		return nil
	}
	strangers := 0
	for _, id := range children {
		if near(id) && id != child && !slices.Contains(b.children, id) {
			strangers++
		}
	}
	if len(b.children)+strangers < max(p.width(), len(b.children)) {
		return nil
	}
	v.Self = child
	plan, err := Parent(room, v)
	if err != nil {
		return nil
	}
	// Each child has an order of its own, so that they spread, and the same for all tracks of a room.
	key := nodeKey(p.key, child)
	order := func(a, b string) int { return cmp.Compare(nodeKey(key, a), nodeKey(key, b)) }
	slices.SortFunc(plan.Hubs, order)
	slices.SortFunc(b.able, order)
	for _, id := range slices.Concat([]string{plan.Parent}, plan.Hubs, b.able) {
		m := members[id]
		if m != nil && m.Alive && !m.Draining && m != p.self && id != child && !slices.Contains(elsewhere, id) {
			elsewhere = append(elsewhere, id)
		}
	}
	return elsewhere
}

// below is what the plan hangs on a node in its own region.
type below struct {
	children []string
	able     []string // those on the root that may feed others; none for a hub
}

func (p *planner) below() (b below) {
	region := p.leaves(make([]leaf, 0, usual), p.self.Region)
	root := p.home
	var heir *gossip.Member
	if p.self.Region != p.home.Region {
		if root, heir = p.entrance(region); root == nil {
			return b
		}
		region = slices.DeleteFunc(region, func(l leaf) bool { return l.node == root })
	}
	t := p.divide(region, heir)
	rest := map[*gossip.Member]*gossip.Member{}
	for node, hub := range t.rest {
		rest[node] = hub
	}
	for _, l := range region {
		hub := rest[l.node] // nil for a hub and the heir, too
		if hub == p.self || hub == nil && root == p.self {
			b.children = append(b.children, l.node.ID)
			if l.hub && root == p.self {
				b.able = append(b.able, l.node.ID)
			}
		}
	}
	return b
}
