package client

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestStudentOpensTheNextSessionBeforeItLeavesTheOneThatIsToEnd(t *testing.T) {
	first, second := newSFU(t), newSFU(t)
	first.away = make(chan struct{})
	var gone atomic.Bool
	first.assign(func() seat {
		s, id := first, "first"
		if gone.Load() {
			s, id = second, "second"
		}
		return seat{Edge: place{ID: id, URL: s.URL}, Ticket: "t", WHEP: s.URL + "/whep/room"}
	})
	left := func() int {
		first.mu.Lock()
		defer first.mu.Unlock()
		return first.deleted
	}
	var leftBefore atomic.Int32
	leftBefore.Store(-1)
	serve := second.Config.Handler
	second.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/whep/room" {
			leftBefore.Store(int32(left()))
		}
		serve.ServeHTTP(w, r)
	})
	clip := shortClip(t, 30)
	for _, s := range []*sfu{first, second} {
		publishing(t, PublishConfig{URL: s.URL + "/whip/room", File: clip})
	}
	var ask sync.Once
	r, err := Watch(t.Context(), WatchConfig{
		URL: first.URL + "/whep/room", Token: "key", For: 6 * time.Second, SettingEngine: onLoopback,
		OnProgress: func(r Report) {
			if r.Watching == 1 {
				ask.Do(func() { gone.Store(true); close(first.away) })
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Reconnects != 1 || r.Nodes["second"] != 1 || r.Lost != 0 {
		t.Errorf("report %+v", r)
	}
	if leftBefore.Load() != 0 || left() != 1 {
		t.Errorf("the student had left the first node %d times before it came to the second, and %d times in the end; want 0 and 1",
			leftBefore.Load(), left())
	}
	t.Logf("the longest gap was %v ms", r.LongestGap)
}
