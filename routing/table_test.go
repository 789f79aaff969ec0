package routing

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lyceum/mesh/gossip"
	"lyceum/mesh/link"
	"lyceum/mesh/media"
	"lyceum/routing/directory"
)

// news is a directory and a gossip of which the test tells.
type news struct {
	mu sync.Mutex
	// Guarded by mu.
	home           string
	members        []gossip.Member
	rtt            map[string]time.Duration
	ways           []gossip.Way
	rooms, changed chan struct{}
}

func (n *news) tell(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *news) Members() []gossip.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]gossip.Member(nil), n.members...)
}

func (n *news) RTT(node string) (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, ok := n.rtt[node]
	return d, ok
}

func (n *news) Ways() []gossip.Way {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.ways)
}

func (n *news) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// newsOfRooms is the directory's side of news.
type newsOfRooms struct{ *news }

func (n newsOfRooms) Room(name string) (directory.Room, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return directory.Room{Name: name, Home: n.home, Epoch: 7}, true
}

func (n newsOfRooms) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rooms
}

func TestTableFollowsTheMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &news{
			home: "home", members: mesh("eu/home", "ap/seoul+", "ap/tokyo"), rtt: map[string]time.Duration{},
			rooms: make(chan struct{}), changed: make(chan struct{}),
		}
		table := NewTable(TableConfig{Node: "tokyo", Rooms: newsOfRooms{n}})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = table.Run(ctx, n) })
		defer running.Wait()
		defer stop()
		from := func(want string) {
			t.Helper()
			if hop, err := table.Next(media.TrackID{Room: "algebra"}, nil); err != nil || hop.Node != want || hop.Self || hop.Epoch != 7 {
				t.Errorf("next: %+v (%v), want %s", hop, err, want)
			}
		}
		told := func(what string, want bool, change func()) {
			t.Helper()
			changed := table.Changed()
			change()
			select {
			case <-changed:
				if !want {
					t.Errorf("%s changed the table", what)
				}
			case <-time.After(5 * time.Second):
				if want {
					t.Errorf("%s did not change the table", what)
				}
			}
		}
		synctest.Wait()
		from("seoul")
		told("load", false, func() { n.tell(func() { n.members[1].Load.Sessions = 99 }) })
		told("a hub that drains", true, func() { n.tell(func() { n.members[1].Draining = true }) })
		from("home")
		told("a hub that is back", true, func() { n.tell(func() { n.members[1].Draining = false }) })
		from("seoul")
		told("a dead hub", true, func() { n.tell(func() { n.members[1].Alive = false }) })
		from("home")
		told("a new home", true, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.home = "tokyo"
			close(n.rooms)
			n.rooms = make(chan struct{})
		})
		if hop, err := table.Next(media.TrackID{Room: "algebra"}, nil); err != nil || !hop.Self {
			t.Errorf("next: %+v (%v), want this node itself", hop, err)
		}
	})
}

func TestTableTakesTheBetterWayOnceItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		n := &news{
			home: "home", members: mesh("eu/home", "us/virginia", "ap/tokyo"),
			rooms: make(chan struct{}), changed: make(chan struct{}),
		}
		reg := prometheus.NewRegistry()
		table := NewTable(TableConfig{Node: "tokyo", Rooms: newsOfRooms{n}, Registerer: reg})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = table.Run(ctx, n) })
		defer running.Wait()
		defer stop()
		told, watched := 0, make(chan struct{})
		go func() {
			defer close(watched)
			for {
				select {
				case <-table.Changed():
					told++
				case <-ctx.Done():
					return
				}
			}
		}()
		after := func(what string, looks int, loss float64, want string) {
			t.Helper()
			n.mu.Lock()
			n.ways = []gossip.Way{
				{Node: "home", From: "eu", To: "ap", RTT: 160 * ms, Loss: loss},
				{Node: "tokyo", From: "ap", To: "eu", RTT: 161 * ms, Loss: loss},
				{Node: "home", From: "eu", To: "us", RTT: 80 * ms, Loss: -1},
				{Node: "tokyo", From: "ap", To: "us", RTT: 80 * ms, Loss: -1},
			}
			n.mu.Unlock()
			<-time.After(time.Duration(looks)*measureEvery + 5*time.Second)
			if p, err := table.Plan("algebra"); err != nil || p.Parent != want {
				t.Errorf("%s: %+v (%v), want %s", what, p, err, want)
			}
		}
		after("a good way", 1, -1, "home")
		before := told
		after("a bad minute begins", 1, 0.06, "home")
		after("and is over", 1, 0, "home")
		if told != before {
			t.Errorf("the table told of %d changes, and there was none", told-before)
		}
		after("a way that is bad for longer", 2, 0.06, "virginia")
		before = told
		after("and somewhat less so", 4, 0.03, "virginia")
		after("and hardly worse than the other", 4, 0.007, "virginia")
		if told != before {
			t.Errorf("the table told of %d changes, and there was none", told-before)
		}
		after("a way that is good again", 1, 0, "virginia")
		after("and has been for longer than the bad minutes", 2, 0, "home")
		if told != before+1 {
			t.Errorf("the table told of %d changes, want 1", told-before)
		}
		stop()
		<-watched
		if n, err := testutil.GatherAndCount(reg, "lyceum_routing_detours", "lyceum_routing_reroutes_total"); err != nil || n != 2 {
			t.Errorf("%d metrics (%v), want 2", n, err)
		}
		if got := testutil.ToFloat64(table.metrics.rerouted); got != 4 {
			t.Errorf("%v ways changed, want each of the two directions twice", got)
		}
	})
}

func TestStandbyIgnoresSmallChangesOfRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		n := &news{
			home: "home", members: mesh("eu/home", "ap/tokyo", "us/virginia", "in/mumbai"),
			rtt:   map[string]time.Duration{"virginia": 150 * ms, "mumbai": 145 * ms},
			rooms: make(chan struct{}), changed: make(chan struct{}),
		}
		table := NewTable(TableConfig{Node: "tokyo", Rooms: newsOfRooms{n}})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = table.Run(ctx, n) })
		defer running.Wait()
		defer stop()
		standby := func(virginia time.Duration) string {
			n.mu.Lock()
			n.rtt["virginia"] = virginia
			n.mu.Unlock()
			<-time.After(measureEvery + time.Second)
			p, err := table.Plan("algebra")
			if err != nil {
				t.Fatal(err)
			}
			return p.Standby
		}
		for _, step := range []struct {
			virginia time.Duration
			want     string
		}{{150 * ms, "mumbai"}, {140 * ms, "mumbai"}, {90 * ms, "virginia"}, {110 * ms, "virginia"}, {200 * ms, "mumbai"}} {
			if got := standby(step.virginia); got != step.want {
				t.Errorf("with %v to virginia the standby is %s, want %s", step.virginia, got, step.want)
			}
		}
	})
}

func TestTrackTakesTheWayToItsOwnOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for self, want := range map[string]link.Hop{
			"home":  {Node: "tokyo", Epoch: 7},
			"seoul": {Node: "tokyo", Epoch: 7},
			"tokyo": {Self: true, Node: "tokyo", Epoch: 7},
			"paris": {Node: "home", Standby: "tokyo", Epoch: 7}, // one copy enters the region
			"lima":  {Node: "tokyo", Epoch: 7},
		} {
			n := &news{
				home: "home", members: mesh("eu/home+", "eu/paris", "ap/seoul+", "ap/tokyo", "sa/lima"), rtt: map[string]time.Duration{},
				rooms: make(chan struct{}), changed: make(chan struct{}),
			}
			table := NewTable(TableConfig{Node: self, Rooms: newsOfRooms{n}})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = table.Run(ctx, n) })
			time.Sleep(time.Second)
			hop, err := table.Next(media.TrackID{Room: "algebra", Name: "talk", Origin: "tokyo"}, nil)
			if hop.Standby = ""; want.Standby != "" {
				again, _ := table.Next(media.TrackID{Room: "algebra", Name: "talk", Origin: "tokyo"}, []string{hop.Node})
				hop.Standby = again.Node
			}
			if err != nil || hop != want {
				t.Errorf("%s gets it from %+v, %v; want %+v", self, hop, err, want)
			}
			if home, err := table.Next(media.TrackID{Room: "algebra", Name: "camera"}, nil); err != nil || home.Self != (self == "home") {
				t.Errorf("%s gets the teacher from %+v, %v", self, home, err)
			}
			stop()
			running.Wait()
		}
	})
}
