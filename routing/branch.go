package routing

import (
	"slices"

	"lyceum/mesh/gossip"
)

// branch is how the nodes of a region hang below its root: hubs and direct on the root, the rest on the hubs.
type branch struct {
	ranked []leaf         // all, best first
	heir   *gossip.Member // of the root; it is always on the root
	hubs   []leaf         // one for each slot; none when the root has room for all
	plain  int            // how many others hang on the root
	most   int            // children of one hub
}

// divide decides who hangs on the root of a region and who on a hub. The bound of children gives way where there are not
// enough hubs, and where the region is too large for two steps: then it is wider rather than deeper. Hubs fill slots, each
// the best for its slot of those that are left, so that a lost one is replaced and the others stay as they were.
func (p *planner) divide(ranked []leaf, heir *gossip.Member) branch {
	width := p.width()
	b := branch{ranked: ranked, heir: heir}
	n := len(ranked)
	if n <= width {
		return b
	}
	for width*width < n {
		width++
	}
	// Somewhat more hubs than would just do leave room, so that few nodes have to go to another hub than the one that
	// suits them. One place on the root is the heir's.
	want := min((n+width-1)/width, width-1)
	b.hubs = make([]leaf, 0, want)
	for slot := range want {
		best, highest := -1, 0.0
		for i, l := range ranked {
			if !l.hub || l.node == heir || b.isHub(l.node) {
				continue
			}
			if s := score(pairKey(l.key, ^uint64(slot)), l.weight); best < 0 || s > highest {
				best, highest = i, s
			}
		}
		if best < 0 {
			break
		}
		b.hubs = append(b.hubs, ranked[best])
	}
	if len(b.hubs)*width < n-width {
		for _, l := range ranked {
			if l.node == heir {
				b.hubs = append(b.hubs, l)
			}
		}
	}
	k := len(b.hubs)
	if k == 0 {
		return b
	}
	b.plain = width - k
	if heir != nil && !b.isHub(heir) {
		b.plain--
	}
	b.most = max(width, (n-width+k-1)/k)
	return b
}

func (b *branch) isHub(node *gossip.Member) bool {
	return slices.ContainsFunc(b.hubs, func(h leaf) bool { return h.node == node })
}

// hubOf is the hub on which a node hangs, nil for the root. Each node chooses by its own rendezvous among the slots that
// have room left by those ranked before it. It chooses a slot and not the hub that fills it: the one who takes the place
// of a lost hub gets that hub's children and no others.
func (b *branch) hubOf(node *gossip.Member) *gossip.Member {
	if len(b.hubs) == 0 || node == b.heir || b.isHub(node) {
		return nil
	}
	for n, hub := range b.rest {
		if n == node {
			return hub
		}
	}
	return nil
}

// rest yields those who are neither hubs nor the heir, and the hub on which each hangs, nil for the root.
func (b *branch) rest(yield func(node, hub *gossip.Member) bool) {
	taken := make([]int, len(b.hubs))
	plain := b.plain
	for _, l := range b.ranked {
		if l.node == b.heir || b.isHub(l.node) {
			continue
		}
		if plain > 0 || len(b.hubs) == 0 {
			if plain--; !yield(l.node, nil) {
				return
			}
			continue
		}
		best, highest := -1, uint64(0)
		for i := range b.hubs {
			if key := pairKey(l.key, uint64(i)); taken[i] < b.most && (best < 0 || key > highest) {
				best, highest = i, key
			}
		}
		if !yield(l.node, b.hubs[best].node) {
			return
		}
		taken[best]++
	}
}

// names lists those who feed others of the region, without the home.
func (b *branch) names(root, home *gossip.Member) []string {
	var list []string
	if root != home {
		list = append(list, root.ID)
	}
	for _, h := range b.hubs {
		list = append(list, h.node.ID)
	}
	return list
}
