package directory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestThreeVotersAgree(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, others := leader(t, nodes)
	follower := others[0]

	room, err := follower.Open(soon(t), Room{Name: "demo", Title: "Physics"})
	if err != nil {
		t.Fatal(err)
	}
	if room.Epoch != 0 || room.Home != "" || room.Opened.IsZero() {
		t.Fatalf("%+v", room)
	}
	if here, ok := follower.Room("demo"); !ok || here != room {
		t.Fatalf("the one who opened the room has %+v", here)
	}
	if again, err := lead.Open(soon(t), Room{Name: "demo"}); !errors.Is(err, ErrExists) || again != room {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := lead.Claim(soon(t), "nowhere", "a", 0); !errors.Is(err, ErrUnknownRoom) {
		t.Fatal(err)
	}

	// All three claim the room at once.
	var wg sync.WaitGroup
	won := make([]Room, len(nodes))
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { won[i], errs[i] = n.Claim(soon(t), "demo", n.id, room.Epoch) })
	}
	wg.Wait()
	winners := 0
	for i, n := range nodes {
		stale, isStale := errors.AsType[*StaleError](errs[i])
		switch {
		case errs[i] == nil:
			winners++
			room = won[i]
			if room.Home != n.id || room.Epoch == 0 {
				t.Fatalf("%+v", room)
			}
		case !isStale || stale.Current != won[i]:
			t.Fatalf("%s: %+v, %v", n.id, won[i], errs[i])
		}
	}
	if winners != 1 {
		t.Fatalf("%d nodes have the room: %v", winners, errs)
	}
	for i := range nodes {
		if errs[i] != nil && won[i] != room {
			t.Fatalf("the loser heard of %+v, and it is %+v", won[i], room)
		}
		nodes[i].showsRoom(t, room)
	}

	taken, err := follower.Claim(soon(t), "demo", "b", room.Epoch)
	if err != nil || taken.Epoch <= room.Epoch {
		t.Fatalf("%+v, %v", taken, err)
	}
	if _, err := lead.Release(soon(t), "demo", room.Epoch); !errors.Is(err, ErrStale) {
		t.Fatalf("an old epoch released the room: %v", err)
	}
	if free, err := lead.Release(soon(t), "demo", taken.Epoch); err != nil || free.Home != "" {
		t.Fatalf("%+v, %v", free, err)
	}
	if err := follower.Close(soon(t), "demo"); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.shows(t, "no room", func() bool { return len(n.Rooms()) == 0 })
	}
	if _, err := lead.Open(soon(t), Room{Name: strings.Repeat("x", maxName+1)}); err == nil || errors.Is(err, ErrUnavailable) {
		t.Fatalf("a long name gave %v", err)
	}
}

func TestOthersGoOnWithoutTheirLeader(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, others := leader(t, nodes)
	before, err := others[0].Open(soon(t), Room{Name: "before", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}
	c.net.isolate(lead.id, true) // as a crash: it cannot pass on the lead
	during, err := others[1].Open(soon(t), Room{Name: "during", Home: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if during.Epoch <= before.Epoch {
		t.Fatalf("epochs %d, %d", before.Epoch, during.Epoch)
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := lead.Open(short, Room{Name: "alone"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("one of three opened a room: %v", err)
	}
	if _, ok := lead.Room("before"); !ok {
		t.Fatal("the cut off node has forgotten its rooms")
	}
	c.net.isolate(lead.id, false)
	lead.showsRoom(t, during)
	for _, n := range nodes {
		if _, ok := n.Room("alone"); ok {
			t.Fatalf("%s knows a room that nobody agreed on", n.id)
		}
	}
}

func TestRestartsKeepTheRooms(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, _ := leader(t, nodes)
	room, err := lead.Open(soon(t), Room{Name: "demo", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}

	// One after the other, and the first from a snapshot.
	nodes[0].showsRoom(t, room)
	if err := nodes[0].raft.Load().Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		n.stop()
		nodes[i] = c.start(t, n.id)
		if r, _ := nodes[i].Room("demo"); r != room {
			t.Fatalf("right after its restart %s has %+v", n.id, r)
		}
		if room, err = nodes[(i+1)%3].Claim(soon(t), "demo", n.id, room.Epoch); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			n.showsRoom(t, room)
		}
	}

	// All at once.
	for _, n := range nodes {
		n.stop()
	}
	one := c.start(t, "b")
	if r, ok := one.Room("demo"); !ok || r != room {
		t.Fatalf("alone after the restart b has %+v", r)
	}
	if s := one.Status(); s.Ready || s.Rooms != 1 {
		t.Fatalf("%+v", s)
	}
	two := c.start(t, "c")
	later, err := two.Claim(soon(t), "demo", "c", room.Epoch)
	if err != nil || later.Epoch <= room.Epoch {
		t.Fatalf("%+v, %v", later, err)
	}
	one.showsRoom(t, later)
}

func TestNodeThatDoesNotVoteWatches(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, others := leader(t, nodes)
	edge := c.start(t, "edge")
	room, err := edge.Open(soon(t), Room{Name: "demo", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}
	edge.showsRoom(t, room)
	if s := edge.Status(); s.Role != "watcher" || !s.Ready || s.Leader != lead.id {
		t.Fatalf("%+v", s)
	}
	if room, err = others[0].Claim(soon(t), "demo", "b", room.Epoch); err != nil {
		t.Fatal(err)
	}
	edge.showsRoom(t, room)
	if _, err := lead.Open(soon(t), Room{Name: "passing"}); err != nil {
		t.Fatal(err)
	}
	edge.shows(t, "a second room", func() bool { return len(edge.Rooms()) == 2 })
	if err := lead.Close(soon(t), "passing"); err != nil {
		t.Fatal(err)
	}
	edge.shows(t, "one room", func() bool { return len(edge.Rooms()) == 1 })

	// The voter that it watches is gone.
	for _, n := range nodes {
		if n.id == edge.Status().Watching {
			n.stop()
			break
		}
	}
	if room, err = edge.Claim(soon(t), "demo", "c", room.Epoch); err != nil {
		t.Fatal(err)
	}
	edge.showsRoom(t, room)

	// Nobody is left, and the node restarts.
	for _, n := range nodes {
		n.stop()
	}
	edge.shows(t, "that nobody leads", func() bool { return !edge.Status().Ready })
	edge.stop()
	edge = c.start(t, "edge")
	if r, _ := edge.Room("demo"); r != room {
		t.Fatalf("without voters the edge has %+v", r)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := edge.Open(short, Room{Name: "new"}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("%v", err)
	}
}

func TestOneVoterIsEnough(t *testing.T) {
	c := newCluster("solo")
	n := c.start(t, "solo")
	room, err := n.Open(soon(t), Room{Name: "demo", Home: "solo"})
	if err != nil || room.Epoch == 0 {
		t.Fatalf("%+v, %v", room, err)
	}
	n.stop()
	if _, err := n.Open(soon(t), Room{Name: "late"}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("after its end: %v", err)
	}
	n = c.start(t, "solo")
	n.shows(t, "itself leading", func() bool { return n.Status().Role == "leader" })
	if r, _ := n.Room("demo"); r != room {
		t.Fatalf("%+v", r)
	}
}

func TestFolderOfAnotherIsRefused(t *testing.T) {
	c := newCluster("a")
	n := c.start(t, "a")
	n.shows(t, "itself leading", func() bool { return n.Status().Ready })
	refused := func(name, want string, change func(*Config)) {
		t.Helper()
		cfg := c.config(t, "a")
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("in use", "another process is using it", func(*Config) {})
	n.stop()
	refused("another node", "is the directory of node a, and this is node b", func(cfg *Config) { cfg.Node = "b" })
	refused("another cluster", "is of cluster demo, and this node is of cluster campus", func(cfg *Config) { cfg.Cluster = "campus" })
	refused("no voters", "at least one node must vote", func(cfg *Config) { cfg.Voters, cfg.Peers = nil, nil })
	refused("twice", "named twice", func(cfg *Config) { cfg.Voters = []string{"a", "a"} })
	refused("a file", "make the directory's folder", func(cfg *Config) {
		cfg.Dir = filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(cfg.Dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})

	damage := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.dirs["a"], file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(cacheFile, "{")
	if _, err := New(c.config(t, "a")); err != nil {
		t.Errorf("a damaged cache is in the way: %v", err)
	}
	damage(filepath.Join(raftDir, "wal-meta.db"), strings.Repeat("x", 64<<10))
	refused("damaged", "is damaged or not a log", func(*Config) {})
	damage(ownerFile, "{")
	refused("no owner", "does not tell whose directory it is", func(*Config) {})
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	c := newCluster("a")
	cfg := c.config(t, "a")
	reg := prometheus.NewPedanticRegistry()
	cfg.Registerer = reg
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.metrics.command(opOpen, time.Now(), ErrExists)
	if n, err := reg.Gather(); err != nil || len(n) < 5 {
		t.Fatalf("%d families, %v", len(n), err)
	}
}
