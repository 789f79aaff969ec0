package edge

import (
	"context"
	"slices"
	"sync"
	"time"

	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

const (
	batchSize = 64                     // packets that a pump reads before it serves its legs
	trainTime = 2 * time.Millisecond   // between two trains for one student
	restTime  = 100 * time.Millisecond // between two looks at what has no event of its own
	burstTime = 5 * time.Millisecond   // between two trains of a burst

	// holdTime is how long a frame whose end is not there is waited for, in microseconds.
	holdTime = 2000
	// maxFill bounds the padding that makes packets equal: 1 % of a large one.
	maxFill = 12

	// silent is the bitrate of a layer that is known to carry nothing now.
	silent = 1
	// patience is how long a keyframe is waited for before the publisher is asked, in microseconds, while nothing of the
	// layer comes at all: a track that has just been subscribed at another node begins with a keyframe by itself.
	patience = 1_000_000
	// askPause is the time between two requests for a keyframe, in microseconds.
	askPause = int64(relay.KeyframeInterval / time.Microsecond)
)

// item is a packet of a batch, and what was learnt about it once for all legs.
type item struct {
	media.Packet
	desc forward.Descriptor
	late bool  // a later packet of its source came before it
	fill uint8 // bytes that make it as large as the next one
}

// plan is what the legs need to know of a track, made anew when its source, its codec or its layers change.
type plan struct {
	generation uint64
	source     uint32
	codec      media.Codec
	format     forward.Format
	svc        bool              // the track has one layer, of several levels: what order and layers are of
	order      []media.Layer     // from best to worst, without those that carry nothing
	layers     []media.LayerInfo // what is known of each, by its place in the track
}

// pump reads one track once and serves all its legs, one leg after the other: a leg's packets of one batch leave together.
type pump struct {
	// Set by newPump, never changed.
	track   *relay.Track
	kind    media.Kind
	class   forward.Class // what it is to a subscriber, if it is a picture
	release func()
	reader  *relay.Reader
	fan     *fan.Fan
	metrics *metrics
	now     func() int64
	turned  func()        // called when somebody begins or ends to send the track; set before run, nil for nobody who cares
	changed chan struct{} // poked when a leg came, went, opened, or asked for something

	mu sync.Mutex
	// Guarded by mu.
	legs []*leg // replaced, never changed

	// Owned by run.
	batch   [batchSize]item
	n       int
	length  [media.MaxLayers]int // packets of each layer in the batch
	open    media.LayerSet       // layers whose frame in the batch has not ended
	since   int64                // when the first packet of the batch was read
	paced   int64                // when the next batch may be read
	scratch media.Packet         // a packet from the ring
	newest  media.Packet         // another one
	version uint64
	state   relay.State
	plan    plan
	want    media.LayerSet
	tops    [media.MaxLayers]top   // the newest packets
	seen    [media.MaxLayers]int64 // when a packet of the layer last came
	asked   [media.MaxLayers]int64 // when its keyframe was last asked for
	delays  delays                 // of the frames that left
	meter   meter                  // of the levels

	// Owned by run, made anew by each pass.
	wants   media.LayerSet // what the legs need
	missing media.LayerSet // the layers whose keyframe a leg waits for
	replays bool           // whether a leg is in a replay
	out     *fan.Batch     // what the legs send
	tally   tally
}

// tally is what a pass did, so that the metrics are touched once.
type tally struct {
	packets, bytes, late, failed int
	switches, replayed           int
}

func newPump(t *relay.Track, kind media.Kind, release func(), f *fan.Fan, m *metrics, now func() int64) *pump {
	p := &pump{track: t, kind: kind, class: classOf(t.ID().Name), release: release, reader: t.NewReader(), fan: f, metrics: m, now: now, changed: make(chan struct{}, 1)}
	for i := range p.batch {
		p.batch[i].Payload = make([]byte, 0, media.MaxPayload)
	}
	return p
}

// run serves until ctx is done, then lets go of the track.
func (p *pump) run(ctx context.Context) {
	defer p.release()
	defer p.reader.Close()
	rest := time.NewTicker(restTime)
	defer rest.Stop()
	due := time.NewTimer(restTime)
	defer due.Stop()
	burst := time.NewTimer(burstTime)
	burst.Stop()
	defer burst.Stop()
	for {
		at := true // once: what is there is served, be it a whole frame or not
		select {
		case <-ctx.Done():
			return
		case <-p.reader.Wait():
			at = false
		case <-p.changed:
		case <-due.C:
		case <-rest.C:
			p.report()
			if p.govern() {
				burst.Reset(burstTime)
			}
		case <-burst.C:
			if p.probe() {
				burst.Reset(burstTime)
			}
			continue
		}
		wait := p.turn(at)
		for ; wait == 0 && ctx.Err() == nil; wait = p.turn(false) {
		}
		if wait > 0 {
			due.Reset(wait)
		}
	}
}

// turn serves the legs if it is time, and says when to come again if nothing happens before: 0 is at once, never is less.
//
// A frame is waited for until it is whole, so that it leaves in one train for each student, but not for long. Of a large one,
// each student gets a train at a time, with a pause in between: the queues of the last mile are short.
func (p *pump) turn(at bool) time.Duration {
	now := p.now()
	full := now >= p.paced && p.gather(now)
	if hold := p.since + holdTime - now; !full && !at && p.open != 0 && hold > 0 {
		return time.Duration(hold) * time.Microsecond
	}
	p.serve(now)
	switch {
	case full:
		p.paced = now + trainTime.Microseconds()
		return time.Duration(max(0, p.paced-p.now())) * time.Microsecond
	case now < p.paced:
		return time.Duration(p.paced-now) * time.Microsecond
	case p.replays:
		return trainTime
	}
	return -1
}

// poke wakes run.
func (p *pump) poke() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// add begins to serve a leg.
func (p *pump) add(l *leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.legs = append(slices.Clone(p.legs), l)
	p.poke()
}

// remove ends the serving of a leg. A pass that has begun may still serve it once.
func (p *pump) remove(l *leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.legs = slices.DeleteFunc(slices.Clone(p.legs), func(o *leg) bool { return o == l })
	p.poke()
}

func (p *pump) all() []*leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.legs
}

// gather reads into the batch until a layer has a train's length there, and reports whether one has.
func (p *pump) gather(now int64) bool {
	for p.n < batchSize && p.reader.Next(&p.batch[p.n].Packet) {
		it := &p.batch[p.n]
		if p.n == 0 {
			p.since = now
		}
		p.n++
		p.seen[it.Layer] = now
		p.meter.count(&it.Packet)
		it.late = p.tops[it.Layer].pass(&it.Packet)
		p.open = p.open.Add(it.Layer)
		if it.Flags.Has(media.Last) {
			p.open &^= media.LayersOf(it.Layer)
		}
		if p.length[it.Layer]++; p.length[it.Layer] == trainLength {
			return true
		}
	}
	return p.n == batchSize
}

// serve gives each leg its part of the batch, which is empty then.
func (p *pump) serve(now int64) {
	// After the batch: what was said of a source before its first packet is then known.
	turned := false
	if v := p.track.Version(); v != p.version || p.meter.news() {
		was, codec := p.state.Live, p.state.Info.Codec
		p.learn()
		turned = p.state.Live != was || p.state.Info.Codec != codec
	}
	for i := range p.batch[:p.n] {
		it := &p.batch[i]
		it.desc = p.plan.format.Parse(&it.Packet)
	}
	p.even()
	p.wants, p.missing, p.replays = 0, 0, false
	p.out = p.fan.Take()
	for _, l := range p.all() {
		l.serve(p, now)
	}
	p.out.Done()
	p.age(now)
	if p.wants != p.want {
		p.want = p.wants
		p.delays.forget(p.want)
		p.reader.Want(p.want)
	}
	for l := range p.missing.All() {
		if now-p.asked[l] >= askPause || p.asked[l] == 0 {
			p.asked[l] = now
			p.reader.RequestKeyframe(l)
			p.metrics.asked.Inc()
		}
	}
	if p.tally != (tally{}) {
		p.metrics.add(p.kind, &p.tally)
		p.tally = tally{}
	}
	p.n, p.open, p.length = 0, 0, [media.MaxLayers]int{}
	if turned && p.turned != nil {
		p.turned()
	}
}

// even finds by how much each packet is to be filled up so that the parts of a frame have one size and leave in one train.
// Encoders divide a frame into parts that differ by a byte or so, the larger ones last; a train takes only a shorter one at its
// end.
func (p *pump) even() {
	var next [media.MaxLayers]*item
	for i := p.n - 1; i >= 0; i-- {
		it := &p.batch[i]
		it.fill = 0
		if after := next[it.Layer]; after != nil && after.Frame == it.Frame {
			if lack := len(after.Payload) + int(after.fill) - len(it.Payload); lack > 0 && lack <= maxFill {
				it.fill = uint8(lack)
			}
		}
		next[it.Layer] = it
	}
}

// top is the highest number of a layer's present source.
type top struct {
	source uint32
	number uint64
}

// pass reports whether a packet comes after later ones.
func (t *top) pass(p *media.Packet) bool {
	late := p.Source == t.source && p.Number < t.number
	if !late {
		*t = top{p.Source, p.Number}
	}
	return late
}

// flows reports whether packets of a layer have come of late.
func (p *pump) flows(l media.Layer, now int64) bool {
	return p.seen[l] != 0 && now-p.seen[l] < askPause
}

// learn takes in a change of the track's state.
func (p *pump) learn() {
	p.state = p.track.State()
	p.version = p.state.Version
	info := &p.state.Info
	layers, svc := p.meter.levels(info)
	order := forward.Order(layers)
	if some := slices.DeleteFunc(slices.Clone(order), func(l media.Layer) bool {
		return layers[l].Bitrate == silent
	}); len(some) > 0 {
		order = some
	}
	p.plan.layers = layers
	if p.plan.generation != 0 && info.Source == p.plan.source && info.Codec == p.plan.codec && svc == p.plan.svc &&
		slices.Equal(order, p.plan.order) {
		return
	}
	p.plan = plan{
		generation: p.plan.generation + 1, source: info.Source, codec: info.Codec,
		format: forward.FormatOf(info.Codec.MimeType), svc: svc, order: order, layers: layers,
	}
}

// report sends the sender reports that are due.
func (p *pump) report() {
	now := p.now()
	p.meter.measure(now)
	for _, l := range p.all() {
		l.report(&p.state, now)
	}
}
