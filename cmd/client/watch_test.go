package client

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
)

func TestClassSeesWhatTheTeacherSends(t *testing.T) {
	s := newSFU(t)
	publishing(t, PublishConfig{URL: s.URL + "/whip/room"})
	var told atomic.Int32
	r, err := Watch(t.Context(), WatchConfig{
		URL: s.URL + "/whep/room", Students: 5, Ramp: 200 * time.Millisecond, For: 3 * time.Second,
		SettingEngine: onLoopback, OnProgress: func(Report) { told.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(raw))
	switch {
	case r.Students != 5 || r.Joined != 5 || r.Failed != 0 || r.Watching != 5:
		t.Error("not everybody watches")
	case r.Lost != 0 || r.Duplicates != 0 || r.Reconnects != 0:
		t.Error("packets are missing or doubled, or somebody reconnected")
	case r.Packets < 5*200 || r.Bytes < 5*100_000 || r.Bitrate == 0:
		t.Error("too little came")
	case r.Latency.P50 > 1000 || r.FirstPacket.P95 <= 0 || r.FirstKeyframe.P50 < r.FirstPacket.P50 || r.LongestGap <= 0:
		t.Error("the times make no sense")
	case r.Hops["1"] != 5 || r.Nodes[strings.TrimPrefix(s.URL, "http://")] != 5:
		t.Error("the node or its distance is not told")
	case told.Load() < 2:
		t.Error("no progress was told")
	}
}

func TestLostPacketsAreAskedFor(t *testing.T) {
	s := newSFU(t)
	s.dropIn = 17
	publishing(t, PublishConfig{URL: s.URL + "/whip/room"})
	r, err := Watch(t.Context(), WatchConfig{URL: s.URL + "/whep/room", Students: 2, For: 3 * time.Second, SettingEngine: onLoopback})
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 2 || r.Packets < 500 || r.Lost != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestStudentsGoOnAtAFallback(t *testing.T) {
	first, second := newSFU(t), newSFU(t)
	at := func(s *sfu, id string) func() seat {
		return func() seat {
			return seat{
				Edge: place{ID: id, URL: s.URL}, Fallbacks: []place{{ID: "second", URL: second.URL}},
				Ticket: "t", WHEP: s.URL + "/whep/room",
			}
		}
	}
	first.assign(at(first, "first"))
	second.assign(at(second, "second"))
	clip := shortClip(t, 30)
	for _, s := range []*sfu{first, second} {
		publishing(t, PublishConfig{URL: s.URL + "/whip/room", File: clip})
	}
	var killed atomic.Bool
	r, err := Watch(t.Context(), WatchConfig{
		URL: first.URL + "/whep/room", Token: "key", Students: 3, For: 8 * time.Second, SettingEngine: onLoopback,
		OnProgress: func(r Report) {
			if r.Joined == 3 && killed.CompareAndSwap(false, true) {
				go first.die()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 3 || r.Reconnects < 3 || r.Nodes["second"] != 3 {
		t.Errorf("report %+v", r)
	}
	t.Logf("the longest gap was %v ms", r.LongestGap)
}

func TestRefusedStudentsAreCountedByReason(t *testing.T) {
	s := newSFU(t)
	s.assign(func() seat { return seat{} })
	r, err := Watch(t.Context(), WatchConfig{URL: s.URL + "/whep/room", Token: "wrong", Students: 4, SettingEngine: onLoopback})
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 0 || r.Failed != 4 || r.Failures["401 Unauthorized: This room needs a token."] != 4 {
		t.Errorf("report %+v", r)
	}
}

func TestUnknownRoomIsNotMistakenForAnotherServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/whep") {
			t.Error("the student watched although the room is unknown")
		}
		problem(w, http.StatusNotFound, "There is no room of this name.")
	}))
	defer srv.Close()
	r, err := Watch(t.Context(), WatchConfig{URL: srv.URL + "/whep/room", SettingEngine: onLoopback})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures["404 Not Found: There is no room of this name."] != 1 {
		t.Errorf("report %+v", r)
	}
}

func TestWHEPAddressIsTakenApart(t *testing.T) {
	for _, tc := range []struct{ in, node, room string }{
		{"https://a.example/whep/math", "https://a.example", "math"},
		{"http://a.example:8080/x/whep/a%20b", "http://a.example:8080/x", "a b"},
		{"http://a.example/other/math", "http://a.example", ""},
		{"http://a.example/whep/", "http://a.example", ""},
	} {
		u, err := parseURL(tc.in)
		if err != nil {
			t.Fatal(err)
		}
		node, room := splitWHEP(u)
		if strings.TrimSuffix(node.String(), "/") != tc.node || room != tc.room {
			t.Errorf("%s is %s and %q", tc.in, node, room)
		}
	}
}

func TestMisconfigurationIsNamed(t *testing.T) {
	for _, err := range []error{
		(&WatchConfig{URL: "ftp://a/whep/r"}).Validate(),
		(&WatchConfig{URL: "http://a/whep/r", Students: -1}).Validate(),
		(&WatchConfig{URL: "http://a/whep/r", For: -1}).Validate(),
		(&PublishConfig{URL: "whip/room"}).Validate(),
		(&PublishConfig{URL: "http://a/whip/r", Layers: 4}).Validate(),
		(&PublishConfig{URL: "http://a/whip/r", Origins: []string{":"}}).Validate(),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
}

func TestBackoffGrowsToItsBoundWithChance(t *testing.T) {
	b := backoff{first: 100 * time.Millisecond, max: 2 * time.Second}
	var waits []time.Duration
	for range 100 {
		waits = append(waits, b.next())
	}
	if waits[0] > 100*time.Millisecond || waits[0] < 50*time.Millisecond || slices.Max(waits) > 2*time.Second || waits[99] < time.Second {
		t.Errorf("waits %v", waits)
	}
}

// A node that is connected sends at once, so that media may be read before the student knows of the connection.
func TestMediaBeforeTheConnectionIsKnownIsNoReconnect(t *testing.T) {
	c := &class{begun: time.Now()}
	s := &student{class: c}
	c.students = []*student{s}
	v := &viewing{student: s, posted: time.Now()}
	st := &stream{video: true, rate: 90000, key: keyframe{codec: vp8}}
	packet, err := (&rtp.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0x10, 0, 0}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v.take(st, &rtp.Header{}, packet, time.Now(), nil)
	s.arrive("frankfurt", answered{header: http.Header{hopsHeader: {"1"}}}, v.again)
	r := c.report(time.Now())
	if r.Reconnects != 0 || r.Joined != 1 || r.Watching != 1 || r.Hops["1"] != 1 || c.firstKeyframe.total.Load() != 1 {
		t.Errorf("report %+v", r)
	}
}

func TestTheDistanceIsAskedForWhereTheAnswerCameTooSoon(t *testing.T) {
	s := newSFU(t)
	s.cold = true
	publishing(t, PublishConfig{URL: s.URL + "/whip/room"})
	r, err := Watch(t.Context(), WatchConfig{URL: s.URL + "/whep/room", Students: 2, For: time.Second, SettingEngine: onLoopback})
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 2 || r.Hops["2"] != 2 {
		t.Errorf("report %+v", r)
	}
}
