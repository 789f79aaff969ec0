package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	// Ways are what all living nodes have measured of the ways between regions.
	Ways() []gossip.Way
	Changed() <-chan struct{}
}

// TableConfig configures a Table. Node and Rooms are required.
type TableConfig struct {
	// Node is this node's id.
	Node string
	// Rooms are those of the directory.
	Rooms Rooms
	// Logger is for changes of the routes between regions; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
}

const (
	// settle is how long a Table waits after news of members before it looks at them: news come in bursts, and every
	// second from every node about its load.
	settle = 100 * time.Millisecond
	// measureEvery is how often round trips and losses are looked at.
	measureEvery = 30 * time.Second
	// rttVaries and rttMoves are the share and the time by which a round trip must differ from the one in use to
	// replace it: smaller changes are noise, and a plan that follows noise moves tracks for nothing.
	rttVaries = 0.25
	rttMoves  = 5 * time.Millisecond
)

// Table tells a node where a room's tracks come from.
type Table struct {
	// Set by NewTable, never changed.
	self    string
	rooms   Rooms
	log     *slog.Logger
	metrics *metrics

	mu sync.Mutex
	// Guarded by mu.
	members []gossip.Member // what matters of them; replaced, never changed
	rtts    map[string]time.Duration
	detours detours
	changed chan struct{}
}

// NewTable makes the table of one node. Until Run it knows no other nodes.
func NewTable(cfg TableConfig) *Table {
	t := &Table{self: cfg.Node, rooms: cfg.Rooms, log: cfg.Logger, changed: make(chan struct{})}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.metrics = newMetrics(cfg.Registerer, t)
	return t
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
			t.look(members, false)
		case <-measure.C:
			t.look(members, true)
		}
	}
}

// look takes over what has changed of the members and of the round trips to them. The routes between regions follow what
// is measured, and news of members only if they change which nodes there are.
func (t *Table) look(members Members, measured bool) {
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
	rerouted := (moved || measured) && t.reroute(NewMatrix(members.Ways()))
	if moved || rerouted { // round trips between nodes decide about standbys only
		t.tell()
	}
}

// reroute looks for detours, and reports whether any way between regions has changed.
func (t *Table) reroute(m Matrix) bool {
	t.mu.Lock()
	changed := t.detours.look(m, time.Now())
	table := t.detours.table
	t.mu.Unlock()
	for _, p := range changed {
		t.metrics.rerouted.Inc()
		via := table.Via(p.From, p.To)
		if via == "" {
			t.log.Info("tracks take the direct way between two regions again", "from", p.From, "to", p.To)
			continue
		}
		t.log.Info("tracks take the way through a third region", "from", p.From, "to", p.To, "through", via)
	}
	return len(changed) > 0
}

// Routes returns what is known of the ways between regions, as of the last look, and the detours in use. The caller must
// change neither.
func (t *Table) Routes() (Matrix, RouteTable) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.detours.matrix, t.detours.table
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
	r, ok := t.room(track)
	if !ok {
		return r, Plan{}, fmt.Errorf("room %s: %w", track.Room, directory.ErrUnknownRoom)
	}
	v := t.view()
	v.Avoid = avoid
	p, err := Parent(r, v)
	if err != nil {
		return r, p, fmt.Errorf("room %s: %w", track.Room, err)
	}
	return r, p, nil
}

// room is a track's room, with the track's origin for its home: a track that names its origin takes the way that it would
// take if the home were there. A room that nobody has claimed has no tracks at all.
func (t *Table) room(track media.TrackID) (directory.Room, bool) {
	r, ok := t.rooms.Room(track.Room)
	if track.Origin != "" && r.Home != "" {
		r.Home = track.Origin
	}
	return r, ok
}

// view is what this node knows of the mesh.
func (t *Table) view() View {
	t.mu.Lock()
	defer t.mu.Unlock()
	rtts := t.rtts
	return View{
		Self: t.self, Members: t.members, Routes: t.detours.table,
		RTT: func(_, to string) (time.Duration, bool) { d, ok := rtts[to]; return d, ok },
	}
}

// Admit decides whether one more node may get a room from this one, besides the children that do, on the way from the
// track's origin. It returns the nodes to be asked instead, none if it may.
func (t *Table) Admit(track media.TrackID, child string, children []string) (elsewhere []string) {
	r, ok := t.room(track)
	if !ok {
		return nil
	}
	return Admit(r, t.view(), child, children)
}

// Next is the node from which this node gets a track, and the one that stands by. The nodes to avoid have failed this one
// lately. The room's epoch fences tracks from everywhere.
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
