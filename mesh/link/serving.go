package link

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

// serving is one subscription of a child: it tells the child what is known of the track, and has a lane for each layer
// that the child wants.
type serving struct {
	// Set by downLink.subscribe, never changed.
	down    *downLink
	id      uint64
	room    string
	epoch   uint64
	track   *relay.Track
	release func()
	cancel  context.CancelFunc
	reader  *relay.Reader // wants no packets; it is woken by changes of state
	wake    chan struct{} // the wants have changed
	over    atomic.Bool   // run has ended

	mu sync.Mutex
	// Guarded by mu.
	wants   media.LayerSet
	pause   media.LayerSet          // layers that are not sent for want of room
	fresh   media.LayerSet          // layers for which there is room again; they start with a new keyframe
	standby bool                    // the child wants the state alone
	counted bool                    // among the children of the room
	from    [media.MaxLayers]uint64 // the first packets that the child lacks, of layers without a lane
	stale   media.LayerSet          // layers that were not wanted at some time since run looked
	lanes   map[media.Layer]*lane   // changed by run only

	// Owned by run.
	said     wire.TrackState // what the child knows
	accepted bool
	running  sync.WaitGroup // lanes
}

// update changes what the child wants. Of a layer that is new to it, it lacks the packets from the given one on.
func (s *serving) update(layers media.LayerSet, standby bool, from [media.MaxLayers]uint64) {
	if standby {
		layers = 0
	}
	s.mu.Lock()
	s.stale |= s.wants &^ layers
	for l := range (layers &^ s.wants).All() {
		s.from[l] = from[l]
	}
	s.wants, s.standby = layers, standby
	s.mu.Unlock()
	s.count(!standby)
	poke(s.wake)
}

// count makes the child one of those that get the room from here, or not. One that stood by and takes this node for its
// parent is never refused: it has lost its own. The crowd's lock is taken last.
func (s *serving) count(child bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if child = child && !s.over.Load(); child == s.counted {
		return
	}
	s.counted = child
	if child {
		s.down.links.crowd.enter(s.track.ID(), s.down.peer, nil)
	} else {
		s.down.links.crowd.leave(s.track.ID(), s.down.peer)
	}
}

// requestKeyframe passes a request up, unless a keyframe that the child does not have is on its way to it.
func (s *serving) requestKeyframe(l media.Layer, known uint64) {
	if k, ok := s.track.Keyframe(l); ok && k > known {
		s.mu.Lock()
		n := s.lanes[l]
		s.mu.Unlock()
		if n == nil || n.carries(k) {
			return // without a lane: the one that is about to start begins with it
		}
	}
	s.reader.RequestKeyframe(l)
}

// run serves the child until the subscription ends.
func (s *serving) run(ctx context.Context) {
	defer s.over.Store(true)
	defer s.release()
	defer s.reader.Close()
	defer s.running.Wait()
	router := s.down.links.router
	for {
		changed := router.Changed()
		if epoch := router.Epoch(s.room); epoch > s.epoch {
			s.stopLanes(0)
			s.down.refuse(s.id, wire.StaleEpoch, epoch)
			return
		}
		way, wayChanged := s.down.links.ways.look(s.track)
		if reason, ok := s.tell(way); !ok {
			s.stopLanes(0)
			s.down.refuse(s.id, reason, s.epoch)
			return
		}
		s.mu.Lock()
		wants, stale := s.wants&^s.pause, s.stale
		s.stale = 0
		s.mu.Unlock()
		// The child has given up what it had of a stale layer, even if it wants it again by now.
		s.stopLanes(wants &^ stale)
		s.startLanes(ctx, wants)
		select {
		case <-s.reader.Wait():
		case <-s.wake:
		case <-wayChanged:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// tell lets the child know what has changed. It reports a reason to refuse the child if there is one now.
func (s *serving) tell(w way) (wire.Reason, bool) {
	if slices.Contains(w.path, s.down.peer) {
		return wire.Loop, false
	}
	st := s.track.State()
	if w.known && st.Hops >= maxDepth {
		return wire.TooDeep, false
	}
	now := wire.TrackState{
		Known: w.known, Live: st.Live, Info: s.withoutPaused(st.Info), Clocks: st.Clocks, Births: st.Births,
		Hops: min(st.Hops, maxDepth), Path: w.path,
	}
	switch said := &s.said; {
	case !s.accepted:
		s.down.send(&wire.Accepted{Sub: s.id, State: now})
	case now.Known != said.Known || now.Live != said.Live || now.Hops != said.Hops ||
		!slices.Equal(now.Path, said.Path) || !sameInfo(&now.Info, &said.Info):
		s.down.send(&wire.State{Sub: s.id, State: now})
	default:
		for l, c := range now.Clocks {
			if c != said.Clocks[l] || now.Births[l] != said.Births[l] {
				s.down.send(&wire.Report{Sub: s.id, Layer: media.Layer(l), Source: now.Info.Source, Clock: c, Birth: now.Births[l]})
			}
		}
	}
	s.said, s.accepted = now, true
	return 0, true
}

func sameInfo(a, b *media.TrackInfo) bool {
	return a.Kind == b.Kind && a.Codec == b.Codec && a.Source == b.Source && slices.Equal(a.Layers, b.Layers)
}

func (s *serving) startLanes(ctx context.Context, wants media.LayerSet) {
	for l := range wants.All() {
		if s.lanes[l] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		n := &lane{
			down: s.down, sub: s.id, track: s.track, layer: l, cancel: cancel,
			wake: make(chan struct{}, 1), urgency: urgencyTop,
		}
		s.mu.Lock()
		n.fresh = s.fresh.Has(l)
		s.fresh &^= media.LayersOf(l)
		n.from, s.from[l] = s.from[l], 0 // a layer that is wanted again later starts at a keyframe
		s.lanes[l] = n
		s.mu.Unlock()
		if head, _ := s.track.Head(l); n.from > head+1 {
			s.down.links.ways.hint(s.track, l, n.from)
		}
		s.running.Go(func() { n.run(ctx) })
	}
}

// stopLanes ends the lanes of the layers that are not wanted.
func (s *serving) stopLanes(wants media.LayerSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, n := range s.lanes {
		if !wants.Has(l) {
			n.cancel()
			delete(s.lanes, l)
		}
	}
}
