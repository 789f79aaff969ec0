package link

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/mesh/wire"
)

// earlyLimit is how long a chunk waits for the state that explains it.
const earlyLimit = 2 * time.Second

// intake is one subscription at a parent: what comes in for it goes to its track.
type intake struct {
	// Set by upLink.subscribe, never changed.
	up    *upLink
	id    uint64
	track *relay.Track
	epoch uint64
	wake  chan struct{} // the answer or the way has changed

	sources        atomic.Pointer[sources] // what the packets may belong to; nil before the first state
	wants          atomic.Uint32           // the layers that the parent was asked for
	standby        atomic.Bool             // it was asked for the state alone
	packets, bytes atomic.Uint64
	reach          [media.MaxLayers]atomic.Uint64 // the newest packet that came

	mu sync.Mutex
	// Guarded by mu.
	closed  bool
	leads   bool            // what the parent says of the track holds
	state   wire.TrackState // the parent's last word
	decided bool            // there was one
	refused *wire.Refused
	started uint32 // the source that the track was last started with, by this parent or the one before
	live    bool   // it was started since this parent leads, and not stopped since
	early   []early
}

// sources are the runs of the publisher whose packets the track can take.
type sources struct {
	now, before uint32
	layers      media.Layer // of now
	sound       bool        // the track is audio
}

// early is a chunk that came before the state that explains it: it went another way than the control stream.
type early struct {
	chunk  wire.Chunk
	buffer *buffer // what the chunk lies in; nil for a datagram, which is its own memory
	at     time.Time
}

func (s *sources) take(c *wire.Chunk) bool {
	return s != nil && (c.Source == s.now && c.Layer < s.layers || c.Source == s.before && s.before != 0)
}

// take gives a chunk to the track, or keeps its buffer for later. When too many wait, the chunk is dropped.
func (in *intake) take(c *wire.Chunk, b *buffer, whole bool) (kept bool, err error) {
	if !in.sources.Load().take(c) {
		in.mu.Lock()
		if !in.sources.Load().take(c) {
			defer in.mu.Unlock()
			now := time.Now()
			for len(in.early) > 0 && now.Sub(in.early[0].at) >= earlyLimit {
				in.up.links.metrics.dropEarly.Inc()
				in.early[0].free(in.up)
				in.early = slices.Delete(in.early, 0, 1)
			}
			if in.closed || in.up.early.Load() >= earlyChunks {
				in.up.links.metrics.dropEarly.Inc()
				return false, nil
			}
			in.up.early.Add(1)
			in.early = append(in.early, early{*c, b, now})
			return true, nil
		}
		in.mu.Unlock()
	}
	err = in.write(c)
	if !whole {
		in.up.links.metrics.dropBroken.Inc()
		err = nil
	}
	return false, err
}

// write gives the packets of a chunk to the track.
func (in *intake) write(c *wire.Chunk) error {
	m := in.up.links.metrics
	var list [wire.ChunkPackets]media.Packet
	var packets, bytes int
	var newest uint64
	var err error
	for packets < len(list) {
		p := &list[packets]
		var ok bool
		if ok, err = c.Next(p); !ok {
			break
		}
		packets++
		newest = max(newest, p.Number)
		bytes += len(p.Payload)
	}
	if err == nil && packets == len(list) {
		var more media.Packet
		_, err = c.Next(&more)
	}
	duplicates := packets - in.track.WriteAll(list[:packets])
	if packets > 0 {
		raise(&in.reach[c.Layer], newest)
	}
	in.packets.Add(uint64(packets))
	in.bytes.Add(uint64(bytes))
	if duplicates > 0 {
		m.duplicates.Add(float64(duplicates))
	}
	if in.sources.Load().sound {
		m.received.audio.Add(float64(packets))
	} else {
		m.received.video.Add(float64(packets))
	}
	return err
}

// accept takes the parent's word about the track.
func (in *intake) accept(s *wire.TrackState) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return
	}
	if in.leads {
		in.applyLocked(s)
	}
	in.understandLocked(s)
	in.state, in.decided = *s, true
	in.flushLocked()
	poke(in.wake)
}

// understandLocked notes which packets the track can take from now on.
func (in *intake) understandLocked(s *wire.TrackState) {
	if info := &s.Info; s.Live {
		next := &sources{now: info.Source, layers: media.Layer(len(info.Layers)), sound: info.Kind == media.Audio}
		if old := in.sources.Load(); old != nil {
			if next.before = old.before; old.now != next.now {
				next.before = old.now
			}
		}
		in.sources.Store(next)
	}
}

// applyLocked makes the track what the parent says it is.
func (in *intake) applyLocked(s *wire.TrackState) {
	switch {
	case s.Live:
		if !in.live || !sameInfo(&s.Info, &in.state.Info) {
			in.track.Start(s.Info)
		}
		in.live, in.started = true, s.Info.Source
		for l, c := range s.Clocks {
			if c.Known() {
				in.track.Report(media.Layer(l), c)
			}
		}
		for l, c := range s.Births {
			in.born(media.Layer(l), c)
		}
	case s.Known:
		in.track.End(in.started)
		in.live = false
	}
	if s.Known {
		in.track.SetHops(s.Hops + 1)
	}
}

// flushLocked writes the early chunks that can now be understood, and gives up those that have waited too long.
func (in *intake) flushLocked() {
	now := time.Now()
	in.early = slices.DeleteFunc(in.early, func(e early) bool {
		known := in.sources.Load().take(&e.chunk)
		if !known && now.Sub(e.at) < earlyLimit {
			return false
		}
		if known {
			_ = in.write(&e.chunk) // a chunk that is cut off is used as far as it goes
		} else {
			in.up.links.metrics.dropEarly.Inc()
		}
		e.free(in.up)
		return true
	})
}

// orphan ends the track because its way home has not been known for long. When it is, the parent's word starts it again.
func (in *intake) orphan() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.track.End(in.started)
	in.live = false
}

// report takes a sender report.
func (in *intake) report(r *wire.Report) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || !in.state.Live || r.Source != in.state.Info.Source {
		return
	}
	in.state.Clocks[r.Layer], in.state.Births[r.Layer] = r.Clock, r.Birth
	if in.leads && in.live {
		if r.Clock.Known() {
			in.track.Report(r.Layer, r.Clock)
		}
		in.born(r.Layer, r.Birth)
	}
}

// born tells the track when it was born, by this node's clock instead of the parent's. A clock that cannot be translated
// yet is told again in a moment.
func (in *intake) born(l media.Layer, c media.Clock) {
	if offset, ok := in.up.ahead(); ok && c.Known() {
		in.track.Born(l, c.Later(-offset))
	}
}

// lead makes what the parent says of the track hold from now on. Source is what the parent before has started it with, 0
// for nothing.
func (in *intake) lead(source uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.leads, in.live, in.started = true, false, source
	if in.decided && in.refused == nil {
		in.applyLocked(&in.state)
	}
}

// yield ends that. It returns the source that the track was last started with.
func (in *intake) yield() (source uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.leads = false
	return in.started
}

// update asks the parent for other layers, from the given packets on where they were not wanted before.
func (in *intake) update(layers media.LayerSet, standby bool, from [media.MaxLayers]uint64) {
	in.wants.Store(uint32(layers))
	in.standby.Store(standby)
	in.up.send(&wire.Update{Sub: in.id, Layers: layers, Standby: standby, From: from})
}

func (in *intake) refuse(r *wire.Refused) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refused, in.decided = r, true
	poke(in.wake)
}

// answer returns the parent's last word: a state, or a refusal.
func (in *intake) answer() (s wire.TrackState, refused *wire.Refused, decided bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state, in.refused, in.decided
}

// close makes sure that the parent has no more say in the track.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for _, e := range in.early {
		e.free(in.up)
	}
	in.early = nil
}

// raise makes a number at least n.
func raise(number *atomic.Uint64, n uint64) {
	for {
		old := number.Load()
		if old >= n || number.CompareAndSwap(old, n) {
			return
		}
	}
}

// free gives back what a chunk held.
func (e *early) free(u *upLink) {
	u.early.Add(-1)
	if e.buffer != nil {
		buffers.Put(e.buffer)
	}
}
