package edge

import (
	"context"
	"runtime"
	"sync"

	"lyceum/mesh/media"
)

// shardSize is how many students of a room one shard serves before another is begun: at 2.5 Mbps each, they keep one core
// busy for a third of the time, so that a frame leaves within the time of the next.
const shardSize = 256

// room is one room with at least one subscriber here. Its students are divided among shards, at most one for each core.
type room struct {
	// Set by newRoom, never changed.
	name   string
	edge   *Edge
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by Edge.mu.
	shards   []*shard
	students int
}

// shard is some of the students of a room, served by pumps of their own: the shards share nothing but the tracks' rings.
type shard struct {
	// Set by newShard, never changed.
	pumps map[string]*pump // one for each track that the room can have

	// Guarded by Edge.mu.
	students int

	legsMu sync.Mutex
	// Guarded by legsMu.
	legs []*leg // those that have a choice of tracks
}

// newRoom holds the room's tracks, so that they are on their way before the first subscriber has connected.
func newRoom(name string, e *Edge) *room {
	r := &room{name: name, edge: e}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// enterLocked finds a shard for a student, and begins one when all are large.
func (r *room) enterLocked() *shard {
	var least *shard
	for _, s := range r.shards {
		if least == nil || s.students < least.students {
			least = s
		}
	}
	if least == nil || least.students >= shardSize && len(r.shards) < runtime.GOMAXPROCS(0) {
		least = r.newShardLocked()
	}
	least.students++
	r.students++
	return least
}

// leaveLocked takes a student out, and ends the room with its last one.
func (r *room) leaveLocked(s *shard) {
	s.students--
	if r.students--; r.students == 0 {
		delete(r.edge.rooms, r.name)
		r.cancel()
	}
}

// newShardLocked begins a shard. It ends with the room.
func (r *room) newShardLocked() *shard {
	s := &shard{pumps: map[string]*pump{}}
	for track, kind := range roomTracks() {
		t, release := r.edge.cfg.Hub.Acquire(media.TrackID{Room: r.name, Name: track})
		p := newPump(t, kind, release, r.edge.cfg.Fan, r.edge.metrics, r.edge.now)
		p.turned = s.steer
		s.pumps[track] = p
	}
	for _, p := range s.pumps {
		r.edge.running.Go(func() { p.run(r.ctx) })
	}
	r.shards = append(r.shards, s)
	return s
}
