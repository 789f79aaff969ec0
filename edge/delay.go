package edge

import (
	"math"
	"sync/atomic"
	"time"

	"lyceum/mesh/media"
)

const (
	// A layer that begins to come begins with a replay, which is old on purpose and tells nothing of the way. It is over with
	// the first frame that is younger than replayed; after replayFor even a layer counts that is so late all the time.
	replayed  = time.Second
	replayFor = 5 * time.Second
	// delaySmooth is the share of one frame in the delay on /status, which follows within a second.
	delaySmooth = 1.0 / 16
)

// delays are how old the frames of a track are when they leave, from their arrival at the node where the track was born.
type delays struct {
	// Owned by the pump's run.
	layers [media.MaxLayers]delayed

	micros atomic.Uint64 // the smoothed delay of all layers, as bits of a float64; 0 for not known
}

// delayed is one layer.
type delayed struct {
	since int64 // when it began to come, by the pump's clock; 0 while it does not
	live  bool  // its replay is over
}

// forget begins anew with the layers that are not wanted any more.
func (d *delays) forget(wanted media.LayerSet) {
	for l := range (media.AllLayers &^ wanted).All() {
		d.layers[l] = delayed{}
	}
}

// note takes the age of a frame and reports whether it counts.
func (d *delays) note(l media.Layer, age time.Duration, now int64) bool {
	s := &d.layers[l]
	if s.since == 0 {
		s.since = now
	}
	if s.live = s.live || age < replayed || now-s.since > replayFor.Microseconds(); !s.live {
		return false
	}
	smooth, next := math.Float64frombits(d.micros.Load()), float64(max(age.Microseconds(), 1))
	if smooth != 0 {
		next = smooth + (next-smooth)*delaySmooth
	}
	d.micros.Store(math.Float64bits(next))
	return true
}

// delaysLocked is how old the frames of a room's tracks are when they leave this node, in milliseconds from their arrival at the
// node where the track was born, smoothed over about a second. Tracks of which it is not known are left out: nobody
// watches them, nobody publishes them, or they come by way of a node that does not tell. Of a room's shards the slowest counts.
func (r *room) delaysLocked() map[string]float64 {
	list := map[string]float64{}
	for _, s := range r.shards {
		for _, p := range s.pumps {
			if us := math.Float64frombits(p.delays.micros.Load()); us != 0 {
				name := p.track.ID().Name
				list[name] = max(list[name], math.Round(us/100)/10)
			}
		}
	}
	return list
}

// age observes how old the frames of a batch are that have just left.
func (p *pump) age(now int64) {
	wall := int64(0)
	for i := range p.batch[:p.n] {
		it := &p.batch[i]
		if !it.Flags.Has(media.Last) || it.Source != p.plan.source {
			continue
		}
		if wall == 0 {
			wall = time.Now().UnixMicro()
		}
		age, known := p.state.Births[it.Layer].Age(it.Timestamp, p.plan.codec.ClockRate, wall)
		if known && p.delays.note(it.Layer, age, now) {
			p.metrics.delay(p.kind, max(age, 0))
		}
	}
}
