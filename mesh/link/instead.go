package link

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"lyceum/mesh/wire"
)

// askAgain is how long a node stays where it was sent on to before it asks the router's answer again.
const askAgain = time.Minute

// nextFailed ends an attempt to go over to a better parent, or follows it to where it was sent on.
func (f *feed) nextFailed(ctx context.Context, err error, now time.Time) {
	p := f.next
	f.drop(&f.next)
	if nodes := f.instead(err); len(nodes) > 0 && p.hops < maxRedirects {
		if f.parent != nil && nodes[0] == f.parent.node {
			f.parent.named, f.parent.began = p.named, now // it is where it belongs
			return
		}
		f.next = f.begin(nodes[0], p.named, true, now)
		f.next.hops = p.hops + 1
		return
	}
	f.log(ctx, slog.LevelDebug, "no better way", p.node, err)
	f.nextTry = now.Add(f.wait.take())
}

// strayed reports whether the parent is one to which this node was sent on long ago: those who disagreed about where it
// belongs may have come to terms.
func (f *feed) strayed(hop Hop, now time.Time) bool {
	return f.parent.node != hop.Node && f.past(f.parent.began.Add(askAgain), now)
}

// instead lists the nodes that a refusal names to be asked instead, but for those that have failed.
func (f *feed) instead(err error) []string {
	r, ok := errors.AsType[*refusal](err)
	if !ok || r.Reason != wire.Redirect {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Nodes), func(node string) bool {
		_, failed := f.failed[node]
		return failed || node == r.node || node == f.links.cfg.Node
	})
}

// elsewhere is the node to go to: the router's, or, if that is the one that leaves, the next that it has named itself.
func (f *feed) elsewhere(hop Hop) string {
	p := f.parent
	if hop.Node != p.node {
		return hop.Node
	}
	if p.others == nil {
		p.others = p.in.up.alternatives()
	}
	for len(p.others) > 0 {
		node := p.others[0]
		p.others = p.others[1:]
		if _, failed := f.failed[node]; node != p.node && node != f.links.cfg.Node && !failed {
			return node
		}
	}
	return ""
}
