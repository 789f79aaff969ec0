package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// lonely makes nodes that know no fixed list.
func lonely(ids ...string) *cluster {
	c := newCluster()
	c.expect = 3
	for _, id := range ids {
		c.net.hear(id)
	}
	return c
}

func TestEqualConfigurationsFoundOneDirectory(t *testing.T) {
	c := lonely()
	var nodes []*node
	for _, id := range []string{"c", "a"} {
		c.net.hear(id)
		nodes = append(nodes, c.start(t, id))
	}
	nodes[0].shows(t, "whom it waits for", func() bool {
		return strings.Contains(nodes[0].Status().Waiting, "2 of 3 expected nodes have been heard of: a, c")
	})
	c.net.hear("b")
	nodes = append(nodes, c.start(t, "b"))
	lead, _ := leader(t, nodes)
	room, err := nodes[1].Open(soon(t), Room{Name: "demo", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.showsRoom(t, room)
		if s := n.Status(); !slices.Equal(s.Voters, []string{"a", "b", "c"}) || s.Waiting != "" {
			t.Errorf("%s: %+v", n.id, s)
		}
	}
	name := lead.view.directory()
	lead.shows(t, "a name", func() bool { name = lead.view.directory(); return name != "" })
	for _, n := range nodes {
		n.shows(t, "the same name", func() bool { return n.view.directory() == name })
	}
}

func TestLaterNodesJoinAndVoteOnceTheyKeepUp(t *testing.T) {
	c := lonely("a", "b", "c")
	var nodes []*node
	for _, id := range []string{"a", "b", "c"} {
		nodes = append(nodes, c.start(t, id))
	}
	leader(t, nodes)
	room, err := nodes[0].Open(soon(t), Room{Name: "demo", Home: "a"})
	if err != nil {
		t.Fatal(err)
	}
	c.net.hear("d")
	d := c.start(t, "d")
	d.showsRoom(t, room)
	d.shows(t, "that it does not vote at once", func() bool { return len(d.Status().Voters) == 3 })
	d.shows(t, "its vote", func() bool { return slices.Equal(d.Status().Voters, []string{"a", "b", "c", "d"}) })

	// One that is alive is not removed; one that is gone is, by hand at once.
	if err := nodes[0].Remove(soon(t), "d"); err == nil || !strings.Contains(err.Error(), "is alive") {
		t.Errorf("remove a living node: %v", err)
	}
	d.stop()
	c.net.lose("d")
	if err := nodes[1].Remove(soon(t), "d"); err != nil {
		t.Fatal(err)
	}
	nodes[0].shows(t, "three voters", func() bool { return len(nodes[0].Status().Voters) == 3 })
	if err := nodes[0].Remove(soon(t), "d"); err == nil || !strings.Contains(err.Error(), "does not take part") {
		t.Errorf("remove it again: %v", err)
	}
}

func TestDeadVoterIsReplaced(t *testing.T) {
	c := lonely("a", "b", "c")
	c.forget = 2 * time.Second
	var nodes []*node
	for _, id := range []string{"a", "b", "c"} {
		nodes = append(nodes, c.start(t, id))
	}
	leader(t, nodes)
	nodes[2].stop()
	c.net.lose("c")
	nodes[0].shows(t, "what is wrong", func() bool {
		list, led := nodes[0].Servers(soon(t))
		return led && slices.ContainsFunc(list, func(s Server) bool {
			return s.ID == "c" && !s.Gone.IsZero() && time.Since(s.Gone) > c.forget && strings.Contains(s.Problem, "lyceum nodes remove c")
		})
	})
	if v := nodes[0].Status().Voters; len(v) != 3 {
		t.Fatalf("a dead voter was dropped although nobody takes its place: %v", v)
	}
	c.net.hear("d")
	d := c.start(t, "d")
	d.shows(t, "that it took the place of c", func() bool { return slices.Equal(d.Status().Voters, []string{"a", "b", "d"}) })
}

func TestAnotherDirectoryIsNotTakenIn(t *testing.T) {
	other := newCluster("d")
	d := other.start(t, "d")
	if _, err := d.Open(soon(t), Room{Name: "theirs"}); err != nil {
		t.Fatal(err)
	}
	d.shows(t, "its name", func() bool { return d.view.directory() != "" })
	d.stop()

	c := lonely("a", "b", "c")
	c.dirs["d"] = other.dirs["d"]
	var nodes []*node
	for _, id := range []string{"a", "b", "c"} {
		nodes = append(nodes, c.start(t, id))
	}
	leader(t, nodes)
	nodes[0].shows(t, "a name", func() bool { return nodes[0].view.directory() != "" })
	c.net.hear("d")
	d = c.start(t, "d")
	nodes[0].shows(t, "why d is not let in", func() bool {
		list, _ := nodes[0].Servers(soon(t))
		return slices.ContainsFunc(list, func(s Server) bool { return s.ID == "d" && s.Problem == foreignText })
	})
	if _, ok := d.Room("theirs"); !ok {
		t.Error("the rooms of the other directory are gone")
	}
	if v := nodes[0].Status().Voters; len(v) != 3 {
		t.Errorf("voters %v", v)
	}
}

// A node with an empty folder and an old list must not begin anew while others of the directory are heard of.
func TestNobodyFoundsBesideADirectory(t *testing.T) {
	c := newCluster("a", "b", "c")
	for _, id := range c.voters {
		c.net.hear(id)
	}
	nodes := c.startAll(t)
	leader(t, nodes)
	room, err := nodes[0].Open(soon(t), Room{Name: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	nodes[2].showsRoom(t, room)
	for _, n := range nodes[:2] {
		n.stop()
		delete(c.dirs, n.id)
	}
	a, b := c.start(t, "a"), c.start(t, "b")
	for _, n := range []*node{a, b} {
		n.shows(t, "the directory it has lost", func() bool {
			_, known := n.Room("demo")
			return known || strings.Contains(n.Status().Waiting, "c belongs to a directory already")
		})
	}
	if s := nodes[2].Status(); s.Rooms != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestPromiseBindsUntilItEnds(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	var p promise
	abc, abd := []string{"a", "b", "c"}, []string{"a", "b", "d"}
	if err := p.give(dir, abc, now); err != nil {
		t.Fatal(err)
	}
	if err := p.give(dir, abd, now.Add(promiseFor-time.Second)); err == nil || !strings.Contains(err.Error(), "a, b, c") {
		t.Fatalf("two foundings at once: %v", err)
	}
	var restarted promise
	if err := restarted.give(dir, abd, now.Add(time.Hour)); err == nil {
		t.Fatal("a restart breaks the promise")
	}
	if err := restarted.give(dir, abd, now.Add(time.Hour+promiseFor)); err != nil {
		t.Fatal(err)
	}
	if err := p.give(dir, abc, now.Add(time.Second)); err != nil {
		t.Fatal("the same promise again:", err)
	}
}

func TestPlanChangesOneAtATime(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	r := rules{self: "a", keep: 3, stable: 10 * time.Second, forget: time.Hour}
	voter := func(id string) servant { return servant{id: id, member: true, voter: true, well: ago(time.Hour)} }
	dead := func(id string, d time.Duration) servant {
		return servant{id: id, member: true, voter: true, gone: ago(d)}
	}
	copyist := func(id string, d time.Duration) servant { return servant{id: id, member: true, well: ago(d)} }
	for _, test := range []struct {
		name string
		list []servant
		want step
	}{
		{"nothing to do", []servant{voter("a"), voter("b"), voter("c")}, step{}},
		{"a new node joins without a vote", []servant{voter("a"), {id: "d", well: now}, {id: "e", well: now}}, step{"join", "d"}},
		{"of another directory", []servant{voter("a"), {id: "d", well: now, foreign: "x"}}, step{}},
		{"not long enough", []servant{voter("a"), copyist("d", 9*time.Second)}, step{}},
		{"long enough", []servant{voter("a"), copyist("d", 10*time.Second), copyist("e", time.Hour)}, step{"promote", "d"}},
		{"enough voters", []servant{voter("a"), voter("b"), voter("c"), voter("d"), voter("e"), copyist("f", time.Hour)}, step{}},
		{"one of the five is dead", []servant{voter("a"), voter("b"), voter("c"), voter("d"), dead("e", time.Minute), copyist("f", time.Hour)}, step{"promote", "f"}},
		{"dead with nobody in its place", []servant{voter("a"), voter("b"), dead("c", 2*time.Hour)}, step{}},
		{"dead and replaced", []servant{voter("a"), voter("b"), dead("c", 2*time.Hour), voter("d")}, step{"remove", "c"}},
		{"dead for too short", []servant{voter("a"), voter("b"), dead("c", time.Minute), voter("d")}, step{}},
		{"no majority without it", []servant{voter("a"), voter("b"), dead("c", 2*time.Hour), dead("d", 2*time.Hour)}, step{}},
		{"a dead copy", []servant{voter("a"), dead("b", time.Minute), {id: "d", member: true, gone: ago(2 * time.Hour)}}, step{"remove", "d"}},
	} {
		if got := plan(now, test.list, r); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestSyncShowsWhatWasDecidedBefore(t *testing.T) {
	c := newCluster("a", "b", "c")
	nodes := c.startAll(t)
	lead, others := leader(t, nodes)
	edge := c.start(t, "edge")
	for i, reader := range []*node{others[0], edge, lead} {
		room, err := others[1].Open(soon(t), Room{Name: "r" + string(rune('0'+i))})
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.Sync(soon(t)); err != nil {
			t.Fatal(err)
		}
		if here, ok := reader.Room(room.Name); !ok || here != room {
			t.Fatalf("%s read %+v, %v after %s was opened", reader.id, here, ok, room.Name)
		}
	}
	c.net.isolate(lead.id, true)
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := lead.Sync(short); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("a leader that is cut off claims to know what is agreed: %v", err)
	}
}
