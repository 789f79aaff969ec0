package node

import (
	"strings"
	"testing"
	"time"

	"lyceum/mesh/link"
	"lyceum/mesh/media"
)

func TestDeadlineOfADrain(t *testing.T) {
	for body, want := range map[string]time.Duration{
		"": drainDefault, "{}": drainDefault, `{"deadline":"90s"}`: 90 * time.Second, `{"deadline":"24h"}`: drainMost,
		`{"deadline":"0s"}`: 0, `{"deadline":"25h"}`: 0, `{"deadline":"soon"}`: 0, `{"deadline":5}`: 0, "soon": 0, "{": 0,
	} {
		got, err := deadline(strings.NewReader(body))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v, want %v", body, got, err, want)
		}
	}
}

func TestOnlyThoseWhoGetPacketsKeepANode(t *testing.T) {
	sub := func(live, standby bool, layers media.LayerSet) link.SubscriptionStatus {
		return link.SubscriptionStatus{Live: live, Standby: standby, Layers: layers}
	}
	got := fed([]link.LinkStatus{
		{Peer: "waits", Direction: "down", Subscriptions: []link.SubscriptionStatus{sub(false, false, 1)}},
		{Peer: "stands-by", Direction: "down", Subscriptions: []link.SubscriptionStatus{sub(true, true, 1), sub(true, false, 0)}},
		{Peer: "watches", Direction: "down", Subscriptions: []link.SubscriptionStatus{sub(true, true, 1), sub(true, false, 1)}},
		{Peer: "parent", Direction: "up", Subscriptions: []link.SubscriptionStatus{sub(true, false, 1)}},
	})
	if len(got) != 1 || got[0] != "watches" {
		t.Errorf("fed are %v", got)
	}
}

func TestDrainTellsWhoIsStillHere(t *testing.T) {
	for want, i := range map[string]DrainInfo{
		"nobody": {}, "1 student": {Students: 1},
		"2 students, 1 teacher, 2 nodes that get tracks, the lead of the directory": {
			Students: 2, Teachers: []string{"a"}, Children: []string{"b", "c"}, Leader: true,
		},
		"1 student; no other node can take students now": {Students: 1, Problem: "no other node can take students now"},
	} {
		if i.String() != want {
			t.Errorf("%q, want %q", i, want)
		}
	}
}

func TestDrainerTellsOfEachChange(t *testing.T) {
	var d drainer
	_, _, changed := d.get()
	if d.on() {
		t.Fatal("a new node is drained")
	}
	d.set(time.Minute)
	<-changed
	begun, until, changed := d.get()
	if !d.on() || until.Sub(begun) != time.Minute {
		t.Errorf("drained from %v until %v", begun, until)
	}
	d.set(0)
	<-changed
	if d.on() {
		t.Error("the drain goes on")
	}
}
