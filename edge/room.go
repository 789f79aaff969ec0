package edge

import (
	"context"
	"sync"

	"lyceum/mesh/media"
)

// room is one room with at least one subscriber here: its two tracks, each with its pump.
type room struct {
	// Set by newRoom, never changed.
	name   string
	pumps  []*pump // camera, microphone
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by Edge.mu.
	students int
}

// newRoom holds the room's tracks, so that they are on their way before the first subscriber has connected.
func newRoom(name string, e *Edge) *room {
	r := &room{name: name}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for _, track := range []string{media.Camera, media.Microphone} {
		t, release := e.cfg.Hub.Acquire(media.TrackID{Room: name, Name: track})
		r.pumps = append(r.pumps, newPump(t, release, e.cfg.Fan, e.metrics, e.now))
	}
	return r
}

// run pumps until the room is cancelled.
func (r *room) run() {
	var pumps sync.WaitGroup
	for _, p := range r.pumps {
		pumps.Go(func() { p.run(r.ctx) })
	}
	pumps.Wait()
}

// pump returns the pump for what a leg carries.
func (r *room) pump(kind media.Kind) *pump {
	if kind == media.Video {
		return r.pumps[0]
	}
	return r.pumps[1]
}
