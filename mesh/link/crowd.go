package link

import (
	"maps"
	"slices"
	"sync"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/wire"
)

// tookAgain is how long a parent remembers whom it has sent on. A child that comes back in that time has found nobody else
// and is taken.
const tookAgain = 30 * time.Second

// crowd knows which children get a room from this node. Those who only stand by are not among them.
type crowd struct {
	mu sync.Mutex
	// Guarded by mu.
	rooms map[media.TrackID]map[string]int // the subscriptions of each child, by room and origin
}

// newCrowd makes an empty crowd.
func newCrowd() *crowd { return &crowd{rooms: map[media.TrackID]map[string]int{}} }

// family stands for all tracks of a room that come from one origin and so the same way.
func family(id media.TrackID) media.TrackID {
	id.Name = ""
	return id
}

// enter counts a subscription of a child, unless the room's children are too many already: then it returns others to be
// asked instead. Admit may be nil.
func (c *crowd) enter(track media.TrackID, child string, admit func(track media.TrackID, child string, children []string) []string) (elsewhere []string) {
	room := family(track)
	c.mu.Lock()
	defer c.mu.Unlock()
	children := c.rooms[room]
	if admit != nil && children[child] == 0 {
		if elsewhere = admit(room, child, slices.Sorted(maps.Keys(children))); len(elsewhere) > 0 {
			return elsewhere[:min(len(elsewhere), maxAlternatives)]
		}
	}
	if children == nil {
		children = map[string]int{}
		c.rooms[room] = children
	}
	children[child]++
	return nil
}

// leave takes a subscription away.
func (c *crowd) leave(track media.TrackID, child string) {
	room := family(track)
	c.mu.Lock()
	defer c.mu.Unlock()
	children := c.rooms[room]
	if children[child]--; children[child] > 0 {
		return
	}
	if delete(children, child); len(children) == 0 {
		delete(c.rooms, room)
	}
}

// sendOnLocked returns the nodes that a child has to ask instead of this one, none if it is to be served: then its subscription
// counts as one of the room's. It is called with tableMu held.
func (d *downLink) sendOnLocked(m *wire.Subscribe, now time.Time) []string {
	if m.Standby {
		return nil
	}
	admit := d.links.cfg.Admit
	maps.DeleteFunc(d.sentOn, func(_ media.TrackID, at time.Time) bool { return now.Sub(at) >= tookAgain })
	if _, back := d.sentOn[m.Track]; back || len(d.sentOn) >= maxSubscriptions {
		admit = nil
	}
	elsewhere := d.links.crowd.enter(m.Track, d.peer, admit)
	if len(elsewhere) > 0 {
		d.sentOn[m.Track] = now
	} else {
		delete(d.sentOn, m.Track)
	}
	return elsewhere
}
