package gossip

import (
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func someRow() row {
	return row{id: "fra-1", boot: 1 << 60, number: 9, ways: []way{
		{"us-east", 91_234 * time.Microsecond, 12}, {"ap-south", 140 * time.Millisecond, -1}, {"moon", maxRTT, lossUnit},
	}}
}

func TestRowCarriesWays(t *testing.T) {
	want := someRow()
	got, err := parseRow(appendRow(nil, &want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v (%v), want %+v", got, err, want)
	}
	if _, err := parseRow(append(appendRow(nil, &want), 1, 2, 3)); err != nil {
		t.Errorf("fields of a newer version are in the way: %v", err)
	}
}

func TestRowThatNobodyMaySay(t *testing.T) {
	for name, change := range map[string]func(*row){
		"no node":          func(r *row) { r.id = "" },
		"no region":        func(r *row) { r.ways[0].to = "" },
		"a space":          func(r *row) { r.ways[0].to = "a b" },
		"no time at all":   func(r *row) { r.ways[0].rtt = 0 },
		"longer than all":  func(r *row) { r.ways[0].rtt = maxRTT + time.Microsecond },
		"more than all":    func(r *row) { r.ways[0].loss = lossUnit + 1 },
		"too many":         func(r *row) { r.ways = make([]way, maxWays+1) },
		"too many letters": func(r *row) { r.ways = manyWays(100, 100) },
	} {
		r := someRow()
		change(&r)
		if got, err := parseRow(appendRow(nil, &r)); err == nil {
			t.Errorf("%s: %+v was accepted", name, got)
		}
	}
}

// manyWays makes n ways to regions with names of so many letters.
func manyWays(n, letters int) (list []way) {
	for i := range n {
		list = append(list, way{fmt.Sprintf("%0*d", letters, i), time.Duration(i+1) * time.Millisecond, -1})
	}
	return list
}

func TestOnlyTheNearestRegionsAreTold(t *testing.T) {
	for letters, want := range map[int]int{10: maxWays, 100: 9} {
		r := row{id: "a", number: 1, ways: manyWays(70, letters)}
		if dropped := r.fits(); len(r.ways) != want || dropped != 70-want {
			t.Errorf("names of %d letters: %d ways remain and %d are dropped, want %d to remain", letters, len(r.ways), dropped, want)
		}
		if _, err := parseRow(appendRow(nil, &r)); err != nil || r.ways[0].rtt != time.Millisecond {
			t.Errorf("%v; the nearest is %v away", err, r.ways[0].rtt)
		}
	}
}

func TestSmallChangesOfWaysAreNotTold(t *testing.T) {
	ms := time.Millisecond
	before := []way{{"us", 100 * ms, 200}, {"eu", 2 * ms, -1}}
	for name, c := range map[string]struct {
		now  []way
		want bool
	}{
		"nothing":           {before, false},
		"another order":     {[]way{before[1], before[0]}, false},
		"a fifth":           {[]way{{"us", 120 * ms, 200}, before[1]}, false},
		"a third":           {[]way{{"us", 134 * ms, 200}, before[1]}, true},
		"twice, but little": {[]way{before[0], {"eu", 6 * ms, -1}}, false},
		"a little loss":     {[]way{{"us", 100 * ms, 240}, before[1]}, false},
		"less loss":         {[]way{{"us", 100 * ms, 100}, before[1]}, true},
		"a loss is known":   {[]way{before[0], {"eu", 2 * ms, 0}}, true},
		"one less":          {before[:1], true},
		"another":           {[]way{before[0], {"ap", 2 * ms, -1}}, true},
	} {
		if got := moved(before, c.now); got != c.want {
			t.Errorf("%s: told %v, want %v", name, got, c.want)
		}
	}
}

func TestEveryNodeKnowsTheWaysOfAll(t *testing.T) {
	at := func(id, region string, seeds ...string) *node {
		cfg := config(id, seeds...)
		cfg.Self.Region = region
		if id == "a" {
			cfg.Loss = func(node string) (float64, bool) { return 0.06, node == "c" }
		}
		return start(t, cfg)
	}
	a := at("a", "eu")
	b := at("b", "us", a.Addr().String())
	c := at("c", "ap", a.Addr().String())
	all := []*node{a, b, c}
	for _, n := range all {
		n.sees(t, "three nodes", alive(3))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	whole := func(ways []Way) bool {
		lossy := false
		for _, w := range ways {
			lossy = lossy || w == Way{Node: "a", From: "eu", To: "ap", RTT: w.RTT, Loss: 0.06} && w.RTT > 0
		}
		return len(ways) == 6 && lossy
	}
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if whole(a.Ways()) && whole(b.Ways()) && whole(c.Ways()) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the nodes know %+v, %+v, %+v", a.Ways(), b.Ways(), c.Ways())
		}
	}
	late := at("d", "us", b.Addr().String())
	late.sees(t, "four nodes", alive(4))
	for deadline := time.Now().Add(10 * time.Second); len(late.Ways()) < 6; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("a node that joins knows %+v", late.Ways())
		}
	}

	c.stop() // what it measured ages out with it
	a.sees(t, "that c left", member("c", func(m Member) bool { return !m.Alive }))
	for _, w := range a.Ways() {
		if w.Node == "c" {
			t.Errorf("a still believes %+v", w)
		}
	}
}

func FuzzParseRow(f *testing.F) {
	r := someRow()
	f.Add(appendRow(nil, &r))
	f.Add([]byte{rowVersion, 1, 'a', 0, 0, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRow(b)
		if err != nil {
			return
		}
		again, err := parseRow(appendRow(nil, &r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

// TestRowOfANodeThatWasCutOffCountsAgain has a member that is believed dead and comes back without having restarted: it
// tells its row again only when that changes.
func TestRowOfANodeThatWasCutOffCountsAgain(t *testing.T) {
	g, err := New(config("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	m := Member{ID: "fra-1", Cluster: "demo", Region: "eu", URL: "http://b", Link: "127.0.0.1:1", Boot: 1 << 60}
	n := &memberlist.Node{Name: m.ID, Addr: net.IPv4(127, 0, 0, 1), Meta: appendMeta(nil, &m)}
	r := someRow()
	d := delegate{g}
	ways := func(want int) {
		t.Helper()
		if got := g.Ways(); len(got) != want {
			t.Errorf("%+v, want %d ways", got, want)
		}
	}
	d.NotifyMsg(appendRow(nil, &r))
	ways(0) // of a node that nobody knows
	d.NotifyJoin(n)
	d.NotifyMsg(appendRow(nil, &r))
	ways(3)
	d.NotifyLeave(n)
	ways(0)
	d.NotifyJoin(n)
	ways(3)
	m.Boot++
	n.Meta = appendMeta(nil, &m)
	d.NotifyUpdate(n)
	ways(0)    // a new process has measured nothing yet
	r.number-- // from the process before
	d.NotifyMsg(appendRow(nil, &r))
	ways(0)
}
