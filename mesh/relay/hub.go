package relay

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/media"
)

// Feeder keeps a track fed from elsewhere until ctx is done. At the home it has nothing to do but to wait.
type Feeder interface {
	Feed(ctx context.Context, t *Track)
}

// Config configures a Hub.
type Config struct {
	// Feeder feeds the tracks that somebody holds. Nil feeds none: all tracks are born here.
	Feeder Feeder
	// Linger is how long a track that nobody holds stays fed, so that a student who reloads finds it warm.
	// 0 means 10 s.
	Linger time.Duration
	// Registerer takes the metrics; nil means none are kept.
	Registerer prometheus.Registerer
	// Logger is for changes of state; nil discards.
	Logger *slog.Logger
}

// Hub is the set of tracks that this node holds.
type Hub struct {
	// Set by NewHub, never changed.
	feeder  Feeder
	linger  time.Duration
	log     *slog.Logger
	metrics *metrics
	ctx     context.Context // ends with Run
	cancel  context.CancelFunc
	feeders sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	tracks map[media.TrackID]*entry
	closed bool
}

// entry is a track and who holds it. Its fields are guarded by Hub.mu.
type entry struct {
	track  *Track
	holds  int
	expire *time.Timer // runs while nobody holds the track
	cancel context.CancelFunc
}

// NewHub makes an empty hub. Tracks may be acquired at once; Run ends them.
func NewHub(cfg Config) *Hub {
	if cfg.Linger == 0 {
		cfg.Linger = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{
		feeder: cfg.Feeder, linger: cfg.Linger, log: cfg.Logger, ctx: ctx, cancel: cancel,
		tracks: map[media.TrackID]*entry{},
	}
	h.metrics = newMetrics(cfg.Registerer, h)
	return h
}

// Run waits until ctx is done, then ends the feeding of every track and waits for it.
func (h *Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.closed = true
	for _, e := range h.tracks {
		if e.expire != nil {
			e.expire.Stop()
		}
	}
	h.mu.Unlock()
	h.cancel()
	h.feeders.Wait()
	return nil
}

// Acquire holds a track: it exists, and is fed, at least until release is called. The first hold of a track starts its
// feeding; some time after the last release it is dropped. Release may be called more than once.
func (h *Hub) Acquire(id media.TrackID) (t *Track, release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.tracks[id]
	if e == nil {
		e = &entry{track: newTrack(id, h.metrics)}
		h.tracks[id] = e
		h.feedLocked(e)
	}
	e.holds++
	if e.expire != nil {
		e.expire.Stop()
		e.expire = nil
	}
	return e.track, sync.OnceFunc(func() { h.release(e) })
}

func (h *Hub) feedLocked(e *entry) {
	ctx, cancel := context.WithCancel(h.ctx)
	e.cancel = cancel
	if h.feeder == nil || h.closed {
		return
	}
	h.log.Debug("track begins", "room", e.track.id.Room, "track", e.track.id.Name)
	h.feeders.Go(func() { h.feeder.Feed(ctx, e.track) })
}

func (h *Hub) release(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.holds--
	if e.holds > 0 || h.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(h.linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if e.expire != timer || h.closed {
			return // it was acquired again
		}
		delete(h.tracks, e.track.id)
		e.cancel()
		h.log.Debug("track ends", "room", e.track.id.Room, "track", e.track.id.Name)
	})
	e.expire = timer
}

// TrackStatus is a track as /status shows it.
type TrackStatus struct {
	Room     string        `json:"room"`
	Name     string        `json:"name"`
	Origin   string        `json:"origin,omitempty"` // where it is born, if not at the room's home
	Live     bool          `json:"live"`
	Codec    string        `json:"codec,omitempty"`
	Layers   []LayerStatus `json:"layers,omitempty"`
	Hops     int           `json:"hops"`
	Held     int           `json:"held"`
	Readers  int           `json:"readers"`
	Packets  uint64        `json:"packets"`
	Bytes    uint64        `json:"bytes"`
	Requests uint64        `json:"keyframe_requests"`
}

// LayerStatus is one layer of a TrackStatus.
type LayerStatus struct {
	RID     string `json:"rid,omitempty"`
	Width   uint16 `json:"width,omitempty"`
	Height  uint16 `json:"height,omitempty"`
	Bitrate uint32 `json:"bitrate_bps,omitempty"`
	Wanted  bool   `json:"wanted"`
}

// Status lists the tracks that this node holds, in the order of their names.
func (h *Hub) Status() []TrackStatus {
	h.mu.Lock()
	entries := make(map[*Track]int, len(h.tracks))
	for _, e := range h.tracks {
		entries[e.track] = e.holds
	}
	h.mu.Unlock()
	list := make([]TrackStatus, 0, len(entries))
	for t, holds := range entries {
		s := t.status()
		s.Held = holds
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b TrackStatus) int {
		return cmp.Or(strings.Compare(a.Room, b.Room), strings.Compare(a.Name, b.Name), strings.Compare(a.Origin, b.Origin))
	})
	return list
}

func (t *Track) status() TrackStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	info := t.state.Info
	s := TrackStatus{
		Room: t.id.Room, Name: t.id.Name, Origin: t.id.Origin, Live: t.state.Live, Codec: info.Codec.MimeType, Hops: t.state.Hops,
		Readers: len(t.readers), Packets: t.packets, Bytes: t.bytes, Requests: t.keys,
	}
	for l, layer := range info.Layers {
		s.Layers = append(s.Layers, LayerStatus{
			RID: layer.RID, Width: layer.Width, Height: layer.Height, Bitrate: layer.Bitrate,
			Wanted: t.layers.Has(media.Layer(l)),
		})
	}
	return s
}

func (h *Hub) count() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return float64(len(h.tracks))
}
