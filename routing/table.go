package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lyceum/mesh/gossip"
	"lyceum/mesh/link"
	"lyceum/mesh/media"
	"lyceum/routing/directory"
)

// ErrNoHome means that a room is open and no teacher has come yet, so that its tracks come from nowhere.
var ErrNoHome = errors.New("no teacher has come to this room yet")

// Rooms is what a Table needs of the directory.
type Rooms interface {
	Room(name string) (directory.Room, bool)
	Changed() <-chan struct{}
}

// Members is what a Table needs of gossip.
type Members interface {
	Members() []gossip.Member
	// RTT is the round trip from this node to another.
	RTT(node string) (time.Duration, bool)
	Changed() <-chan struct{}
}

const (
	// settle is how long a Table waits after news of members before it looks at them: news come in bursts, and every
	// second from every node about its load.
	settle = 100 * time.Millisecond
	// measureEvery is how often round trips are looked at.
	measureEvery = 30 * time.Second
	// rttVaries and rttMoves are the share and the time by which a round trip must differ from the one in use to
	// replace it: smaller changes are noise, and a plan that follows noise moves tracks for nothing.
	rttVaries = 0.25
	rttMoves  = 5 * time.Millisecond
)

// Table tells a node where a room's tracks come from.
type Table struct {
	// Set by NewTable, never changed.
	self  string
	rooms Rooms

	mu sync.Mutex
	// Guarded by mu.
	members []gossip.Member // what matters of them; replaced, never changed
	rtts    map[string]time.Duration
	changed chan struct{}
}

// NewTable makes the table of one node. Until Run it knows no other nodes.
func NewTable(self string, rooms Rooms) *Table {
	return &Table{self: self, rooms: rooms, changed: make(chan struct{})}
}

// Run keeps up with the members of the mesh until ctx is done.
func (t *Table) Run(ctx context.Context, members Members) error {
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	pause := time.NewTimer(0) // runs between news of members and the look at them
	defer pause.Stop()
	roomsChanged, news := t.rooms.Changed(), (<-chan struct{})(nil)
	t.tell() // of what came before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-roomsChanged:
			roomsChanged = t.rooms.Changed()
			t.tell()
		case <-news:
			news = nil
			pause.Reset(settle)
		case <-pause.C:
			news = members.Changed()
			t.look(members)
		case <-measure.C:
			t.look(members)
		}
	}
}

// look takes over what has changed of the members and of the round trips to them.
func (t *Table) look(members Members) {
	list := members.Members()
	for i := range list {
		list[i] = gossip.Member{
			ID: list[i].ID, Region: list[i].Region, Roles: list[i].Roles, Alive: list[i].Alive, Draining: list[i].Draining,
		}
	}
	slices.SortFunc(list, func(a, b gossip.Member) int { return strings.Compare(a.ID, b.ID) })
	t.mu.Lock()
	old, moved := t.rtts, !slices.Equal(list, t.members)
	t.mu.Unlock()
	rtts := make(map[string]time.Duration, len(list))
	for i := range list {
		now, ok := members.RTT(list[i].ID)
		if !ok {
			continue
		}
		if before, ok := old[list[i].ID]; ok && !differs(before, now) {
			now = before
		}
		rtts[list[i].ID] = now
	}
	t.mu.Lock()
	t.members, t.rtts = list, rtts
	t.mu.Unlock()
	if moved { // round trips decide about standbys only
		t.tell()
	}
}

// differs reports whether a round trip has really become another.
func differs(before, now time.Duration) bool {
	d := (now - before).Abs()
	return d > rttMoves && float64(d) > rttVaries*float64(before)
}

// tell lets those who wait know that an answer may have changed.
func (t *Table) tell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

// Plan is from where this node gets a room's tracks, and why.
func (t *Table) Plan(room string) (Plan, error) {
	_, p, err := t.plan(media.TrackID{Room: room}, nil)
	return p, err
}

func (t *Table) plan(track media.TrackID, avoid []string) (directory.Room, Plan, error) {
	room := track.Room
	r, ok := t.rooms.Room(room)
	if !ok {
		return r, Plan{}, fmt.Errorf("room %s: %w", room, directory.ErrUnknownRoom)
	}
	if track.Origin != "" && r.Home != "" {
		r.Home = track.Origin
	}
	t.mu.Lock()
	members, rtts := t.members, t.rtts
	t.mu.Unlock()
	p, err := Parent(r, View{
		Self: t.self, Members: members, Avoid: avoid,
		RTT: func(_, to string) (time.Duration, bool) { d, ok := rtts[to]; return d, ok },
	})
	if err != nil {
		return r, p, fmt.Errorf("room %s: %w", room, err)
	}
	return r, p, nil
}

// Next is the node from which this node gets a track, and the one that stands by. The nodes to avoid have failed this one
// lately.
//
// A track that names its origin takes the way that it would take if the room's home were there: the same hubs, one copy a
// region. The room's epoch fences it like the others, so that it is not carried before the room has had a home.
func (t *Table) Next(track media.TrackID, avoid []string) (link.Hop, error) {
	r, p, err := t.plan(track, avoid)
	switch {
	case err != nil:
		return link.Hop{}, err
	case p.Parent == "":
		return link.Hop{Self: true, Node: t.self, Epoch: r.Epoch}, nil
	}
	return link.Hop{Node: p.Parent, Standby: p.Standby, Epoch: r.Epoch}, nil
}

// Changed is closed when the answer of Next or Epoch may have changed. News of how busy members are close nothing.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// Epoch is the highest epoch of a room that this node knows, 0 for none.
func (t *Table) Epoch(room string) uint64 {
	r, _ := t.rooms.Room(room)
	return r.Epoch
}
