package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// publishing runs Publish until the test ends it.
func publishing(t *testing.T, cfg PublishConfig) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cfg.SettingEngine = onLoopback
	ended := make(chan error, 1)
	go func() { ended <- Publish(ctx, cfg) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// heard is what a server got of one layer.
type heard struct {
	packets []*rtp.Packet
}

// ear collects packets by layer.
type ear struct {
	mu     sync.Mutex
	layers map[string]*heard
}

func (e *ear) hear(rid string, p *rtp.Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.layers == nil {
		e.layers = map[string]*heard{}
	}
	if p.PayloadType == 111 {
		rid = "sound"
	}
	if e.layers[rid] == nil {
		e.layers[rid] = &heard{}
	}
	e.layers[rid].packets = append(e.layers[rid].packets, p)
}

// count of a layer's packets, and how many of them begin a keyframe.
func (e *ear) count(rid string) (packets, keys int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.layers[rid] == nil {
		return 0, 0
	}
	for _, p := range e.layers[rid].packets {
		if vp8Begins(p.Payload) {
			keys++
		}
	}
	return len(e.layers[rid].packets), keys
}

func TestEveryLayerAndTheSoundArrive(t *testing.T) {
	s := newSFU(t)
	var e ear
	s.onRTP = e.hear
	var mu sync.Mutex
	var last State
	stop := publishing(t, PublishConfig{URL: s.URL + "/whip/room", Token: "key", OnState: func(st State) {
		mu.Lock()
		last = st
		mu.Unlock()
	}})
	for _, rid := range []string{"q", "h", "f", "sound"} {
		eventually(t, "packets of "+rid, func() bool { n, _ := e.count(rid); return n > 20 })
	}
	eventually(t, "a report for each stream", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.lastClock) == 4
	})
	eventually(t, "the state is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return last.Live && last.Layers == 3 && last.Packets > 60 && last.Bytes > 10_000
	})
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted != 1 {
		t.Errorf("%d sessions were deleted, want 1", s.deleted)
	}
}

func TestKeyframeRequestIsAnsweredByTheNextFrameOfEveryLayer(t *testing.T) {
	s := newSFU(t)
	var e ear
	s.onRTP = e.hear
	publishing(t, PublishConfig{URL: s.URL + "/whip/room"})
	layers := []string{"q", "h", "f"}
	eventually(t, "some frames", func() bool { n, _ := e.count("f"); return n > 40 })
	before := map[string]int{}
	for _, rid := range layers {
		_, before[rid] = e.count(rid)
	}
	asked := time.Now()
	s.askKeyframe("h")
	for _, rid := range layers {
		eventually(t, "a keyframe of "+rid, func() bool { _, n := e.count(rid); return n > before[rid] })
	}
	t.Logf("keyframes of all layers %s after the request", time.Since(asked))
	e.mu.Lock()
	defer e.mu.Unlock()
	var stamps []uint32
	for _, rid := range layers {
		packets := e.layers[rid].packets
		at := slices.IndexFunc(packets, func(p *rtp.Packet) bool { return vp8Begins(p.Payload) && p != packets[0] })
		stamps = append(stamps, packets[at].Timestamp-packets[0].Timestamp)
	}
	if stamps[0] != stamps[1] || stamps[1] != stamps[2] {
		t.Errorf("the keyframes are %v after the start of each layer, want one moment", stamps)
	}
}

func TestTimestampsRunOnWhenTheClipBeginsAgain(t *testing.T) {
	s := newSFU(t)
	var e ear
	s.onRTP = e.hear
	publishing(t, PublishConfig{URL: s.URL + "/whip/room", File: shortClip(t, 8)})
	eventually(t, "three rounds", func() bool { _, keys := e.count(""); return keys > 3 })
	e.mu.Lock()
	defer e.mu.Unlock()
	packets := e.layers[""].packets
	slices.SortFunc(packets, func(a, b *rtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	for i, p := range packets[1:] {
		before := packets[i]
		if d := p.SequenceNumber - before.SequenceNumber; d != 1 {
			t.Fatalf("packet %d: the sequence number rises by %d", i, d)
		}
		d := p.Timestamp - before.Timestamp
		if before.Marker != (d != 0) || d != 0 && (d < 2999 || d > 3001) {
			t.Fatalf("packet %d: marker %v, and the timestamp rises by %d", i, before.Marker, d)
		}
	}
}

func TestPacketsTellWhenTheyWereCaptured(t *testing.T) {
	s := newSFU(t)
	var e ear
	s.onRTP = e.hear
	began := time.Now()
	publishing(t, PublishConfig{URL: s.URL + "/whip/room", Layers: 1})
	eventually(t, "some packets", func() bool { n, _ := e.count("f"); m, _ := e.count(""); return n+m > 20 })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.layers {
		for _, p := range h.packets {
			found := false
			for _, id := range p.GetExtensionIDs() {
				if x := p.GetExtension(id); len(x) == 8 {
					var c rtp.AbsCaptureTimeExtension
					if err := c.Unmarshal(x); err != nil {
						t.Fatal(err)
					}
					at := time.UnixMicro(media.MicrosFromNTP(c.Timestamp))
					found = at.After(began) && at.Before(time.Now().Add(time.Millisecond))
				}
			}
			if !found {
				t.Fatalf("a packet does not tell when it was captured, or wrongly: %v", p.Header)
			}
		}
	}
}

func TestPublisherComesBackAtAnotherOrigin(t *testing.T) {
	first, second := newSFU(t), newSFU(t)
	var a, b ear
	first.onRTP, second.onRTP = a.hear, b.hear
	publishing(t, PublishConfig{
		URL: first.URL + "/whip/room", Origins: []string{second.URL + "/whip/room"}, File: shortClip(t, 30),
	})
	eventually(t, "packets at the first", func() bool { n, _ := a.count(""); return n > 5 })
	first.die()
	eventually(t, "packets at the second", func() bool { n, _ := b.count(""); return n > 5 })
}

func TestRefusalIsTheServersSentence(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/room", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusConflict, "Another teacher is on air in this room.")
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	err := Publish(t.Context(), PublishConfig{URL: srv.URL + "/whip/room", SettingEngine: onLoopback})
	e, ok := errors.AsType[*StatusError](err)
	if !ok || e.Status != http.StatusConflict || e.Detail != "Another teacher is on air in this room." {
		t.Errorf("error %v", err)
	}
}

func TestUnreachableServerIsGivenUp(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	err := Publish(t.Context(), PublishConfig{URL: srv.URL + "/whip/room", GiveUp: 300 * time.Millisecond, SettingEngine: onLoopback})
	if err == nil {
		t.Error("no error")
	}
}

func TestRedirectIsFollowedWithoutTheToken(t *testing.T) {
	s := newSFU(t)
	var mu sync.Mutex
	var tokens []string
	note := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, r.Header.Get("Authorization"))
	}
	s.mux.HandleFunc("POST /whip/ticket", func(w http.ResponseWriter, r *http.Request) {
		note(r)
		s.publish(w, r)
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, s.URL+"/whip/ticket", http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	var e ear
	s.onRTP = e.hear
	stop := publishing(t, PublishConfig{URL: front.URL + "/whip/room", Token: "key", File: shortClip(t, 30)})
	eventually(t, "packets where it was sent to", func() bool { n, _ := e.count(""); return n > 5 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(tokens, []string{"Bearer key", ""}) {
		t.Errorf("the hosts were given %q", tokens)
	}
}
