package relay

import (
	"slices"

	"lyceum/mesh/media"
)

// Reader is one consumer of a track. A slow reader is overtaken by the ring and resumes at the newest keyframe; it never
// slows the writer or another reader. Next and Want are for one goroutine.
type Reader struct {
	// Set by NewReader, never changed.
	t    *Track
	wait chan struct{}

	// Guarded by t.mu.
	want    media.LayerSet
	cursors [media.MaxLayers]cursor
}

// NewReader adds a reader that wants nothing yet.
func (t *Track) NewReader() *Reader {
	r := &Reader{t: t, wait: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers = append(slices.Clone(t.readers), r)
	return r
}

// Want says which layers the reader is to get from now on. A layer that was not wanted before starts at the ring's
// newest keyframe if all that came since is still there, else with the next packet. One that nobody wanted before, so that
// a parent has stopped sending it, starts with what the parent sends anew.
func (r *Reader) Want(layers media.LayerSet) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	fresh := layers &^ r.want
	r.want = layers
	for l := range fresh.All() {
		if ring := r.t.rings[l]; ring != nil {
			if ring.broken {
				ring.forget()
			}
			r.cursors[l] = ring.start(r.t.state.Live)
		}
	}
	r.t.mergeLocked()
	poke(r.wait)
}

// RequestKeyframe asks the publisher for a keyframe of one layer. At most one request per layer and KeyframeInterval
// goes up, whoever asks; a reader that waits for a keyframe repeats its request until the keyframe is there.
func (r *Reader) RequestKeyframe(l media.Layer) {
	if l >= media.MaxLayers {
		return
	}
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	r.t.requestKeyframeLocked(l)
}

// Wait is poked when there may be packets to read or when the track's state has changed.
func (r *Reader) Wait() <-chan struct{} { return r.wait }

// Next copies the next packet into p, layer by layer in the order of arrival. It returns false when there is none now.
func (r *Reader) Next(p *media.Packet) bool {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	for l := range r.want.All() {
		ring := r.t.rings[l]
		if ring == nil {
			continue
		}
		ok, overtaken := ring.read(&r.cursors[l], r.t.state.Live, p)
		if overtaken {
			r.t.metrics.overtaken.Inc()
		}
		if ok {
			return true
		}
	}
	return false
}

// Close removes the reader and what it wanted from the demand. It may be called more than once.
func (r *Reader) Close() {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	r.want = 0
	r.t.readers = slices.DeleteFunc(slices.Clone(r.t.readers), func(o *Reader) bool { return o == r })
	r.t.mergeLocked()
}
