package relay

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lyceum/mesh/media"
)

// KeyframeInterval is the least time between two keyframe requests for one layer. A keyframe is ten times the size of
// another frame; asked for more often than twice a second, a 3 Mbps encoder spends its whole rate on them.
const KeyframeInterval = 500 * time.Millisecond

// Demand is what the readers of a track want, merged.
type Demand struct {
	// Layers are those that at least one reader wants.
	Layers media.LayerSet
	// Keyframes are the layers for which a keyframe was asked since the last look.
	Keyframes media.LayerSet
}

// State is what is known of a track besides its packets.
type State struct {
	// Version grows with every change.
	Version uint64
	// Live is true while somebody publishes.
	Live bool
	// Info describes the present or the last source; its Layers must not be changed.
	Info media.TrackInfo
	// Clocks are the publisher's last sender reports, one for each layer.
	Clocks [media.MaxLayers]media.Clock
	// Births tie each layer's timestamps to when they reached the node where the track was born, by this node's clock. They
	// are not known of tracks that come by way of nodes that do not tell.
	Births [media.MaxLayers]media.Clock
	// Hops is the number of nodes between here and the home; 0 at the home.
	Hops int
}

// Track is one camera, screen or microphone as this node sees it.
type Track struct {
	// Set by the hub, never changed.
	id      media.TrackID
	metrics *metrics
	demands chan struct{}

	version atomic.Uint64 // State().Version without the lock

	mu sync.Mutex
	// Guarded by mu.
	state   State
	rings   [media.MaxLayers]*ring
	readers []*Reader
	pending media.LayerSet             // keyframes to be asked for
	asked   [media.MaxLayers]time.Time // when a keyframe was last asked for
	layers  media.LayerSet             // the union of what the readers want
	packets uint64
	bytes   uint64
	keys    uint64 // keyframe requests passed up
}

func newTrack(id media.TrackID, m *metrics) *Track {
	return &Track{id: id, metrics: m, demands: make(chan struct{}, 1)}
}

// ID names the track.
func (t *Track) ID() media.TrackID { return t.id }

// Version is State().Version, cheap enough to be looked at for every packet.
func (t *Track) Version() uint64 { return t.version.Load() }

// State returns what is known of the track now.
func (t *Track) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// Start says that a source publishes the track, or that what is known of it has changed.
func (t *Track) Start(info media.TrackInfo) {
	info.Layers = slices.Clone(info.Layers[:min(len(info.Layers), media.MaxLayers)])
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Info.Source != info.Source {
		t.state.Clocks, t.state.Births = [media.MaxLayers]media.Clock{}, [media.MaxLayers]media.Clock{}
	}
	t.state.Live = true
	t.state.Info = info
	for l := range info.Layers {
		if t.rings[l] == nil {
			t.rings[l] = newRing(info.Kind)
			for _, r := range t.readers {
				r.cursors[l] = t.rings[l].start(true)
			}
		}
	}
	t.changedLocked()
}

// Stop says that nobody publishes the track any more. Its readers stay and wait for the next source.
func (t *Track) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Live {
		t.state.Live = false
		t.changedLocked()
	}
}

// End is Stop for the writer that has started one source: it does nothing when another source has begun since. So of two
// writers, while a room's home moves, none ends what the other has started.
func (t *Track) End(source uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Live && t.state.Info.Source == source {
		t.state.Live = false
		t.changedLocked()
	}
}

// Report ties a layer's timestamps to the publisher's clock.
func (t *Track) Report(l media.Layer, c media.Clock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l < media.MaxLayers && t.state.Clocks[l] != c {
		t.state.Clocks[l] = c
		t.changedLocked()
	}
}

// Born ties a layer's timestamps to when they reached the node where the track was born, by this node's clock.
func (t *Track) Born(l media.Layer, c media.Clock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l < media.MaxLayers && t.state.Births[l] != c {
		t.state.Births[l] = c
		t.changedLocked()
	}
}

// SetHops says how far the home is.
func (t *Track) SetHops(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n == 0 {
		for _, r := range t.rings {
			if r != nil && r.broken {
				r.forget() // a publisher here sends what nobody wants too
			}
		}
	}
	if t.state.Hops != n {
		t.state.Hops = n
		t.changedLocked()
	}
}

func (t *Track) changedLocked() {
	t.state.Version++
	t.version.Store(t.state.Version)
	for _, r := range t.readers {
		poke(r.wait)
	}
}

// Write copies a packet into its layer's ring and wakes the readers that want the layer. It never blocks, and returns
// false for a packet that is there already, that is too old for the ring, or whose layer is not known.
func (t *Track) Write(p *media.Packet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	result := t.writeLocked(p)
	t.metrics.packets[result].Inc()
	if result != written {
		return false
	}
	t.wakeLocked(media.LayersOf(p.Layer))
	return true
}

// WriteAll is Write for packets that came together: readers are woken once for all of them. It returns how many of the
// packets Write would have taken.
func (t *Track) WriteAll(packets []media.Packet) (taken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var results [outcomes]int
	var layers media.LayerSet
	for i := range packets {
		result := t.writeLocked(&packets[i])
		results[result]++
		if result == written {
			layers = layers.Add(packets[i].Layer)
		}
	}
	for result, n := range results {
		if n > 0 {
			t.metrics.packets[result].Add(float64(n))
		}
	}
	t.wakeLocked(layers)
	return results[written]
}

func (t *Track) writeLocked(p *media.Packet) outcome {
	if p.Layer >= media.MaxLayers || t.rings[p.Layer] == nil {
		return unknown
	}
	result := t.rings[p.Layer].write(p, t.state.Info.Source)
	if result == written {
		t.packets++
		t.bytes += uint64(len(p.Payload))
	}
	return result
}

// wakeLocked wakes the readers that want any of some layers.
func (t *Track) wakeLocked(layers media.LayerSet) {
	for _, r := range t.readers {
		if r.want&layers != 0 {
			poke(r.wait)
		}
	}
}

// Demands is poked when the demand changed. It is for the writer of the track alone.
func (t *Track) Demands() <-chan struct{} { return t.demands }

// TakeDemand returns the merged demand and forgets the keyframe requests in it.
func (t *Track) TakeDemand() Demand {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := Demand{Layers: t.layers, Keyframes: t.pending}
	t.pending = 0
	return d
}

// Cut says that the parent is about to be told to stop sending some layers: what comes when they are wanted again joins
// on to nothing here. It leaves out, and returns without them, those that somebody wants by now. Only the writer of a
// track that is fed by a parent calls it.
func (t *Track) Cut(layers media.LayerSet) media.LayerSet {
	t.mu.Lock()
	defer t.mu.Unlock()
	layers &^= t.layers
	for l := range layers.All() {
		if r := t.rings[l]; r != nil {
			r.broken = true
		}
	}
	return layers
}

// Packet copies a packet that is still in the ring.
func (t *Track) Packet(l media.Layer, number uint64, p *media.Packet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l < media.MaxLayers && t.rings[l] != nil && t.rings[l].packet(number, p)
}

// Keyframe returns the number of the first packet of the newest keyframe, if the track is live and the ring holds what
// came since.
func (t *Track) Keyframe(l media.Layer) (number uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l >= media.MaxLayers || t.rings[l] == nil || !t.state.Live {
		return 0, false
	}
	return t.rings[l].keyframe()
}

// Head returns the newest number of a layer.
func (t *Track) Head(l media.Layer) (number uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l >= media.MaxLayers || t.rings[l] == nil || t.rings[l].head == 0 {
		return 0, false
	}
	return t.rings[l].head, true
}

// mergeLocked makes the demand anew from what the readers want.
func (t *Track) mergeLocked() {
	var union media.LayerSet
	for _, r := range t.readers {
		union |= r.want
	}
	if union != t.layers {
		t.layers = union
		poke(t.demands)
	}
}

// requestKeyframeLocked passes a request up unless one went up a moment ago. Whoever still needs it asks again.
func (t *Track) requestKeyframeLocked(l media.Layer) {
	now := time.Now()
	if now.Sub(t.asked[l]) < KeyframeInterval {
		t.metrics.throttled.Inc()
		return
	}
	t.asked[l] = now
	t.keys++
	t.metrics.passed.Inc()
	t.pending = t.pending.Add(l)
	poke(t.demands)
}

// poke wakes whoever waits on c. One token is enough, however often it is poked.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
