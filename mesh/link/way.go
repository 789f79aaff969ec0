package link

import (
	"slices"
	"sync"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// way is how a track comes to this node.
type way struct {
	path  []string // this node, its parent, and so on towards the home
	known bool     // the way reaches the home
}

// ways are the ways of the tracks that are fed here, for those who serve them to children.
type ways struct {
	// Set by newWays, never changed.
	node string

	mu sync.Mutex
	// Guarded by mu.
	entries map[*relay.Track]*wayEntry
}

type wayEntry struct {
	way     way
	changed chan struct{}
	hints   [media.MaxLayers]uint64 // from where children need the layers that do not flow here
	hinted  time.Time
}

// hintLimit is how long a hint holds: demand that goes up in the same moment takes it along.
const hintLimit = 5 * time.Second

// hintMargin is how many packets more than one child lacks are asked for: the other children of a parent that was lost
// come in the same moment, and may have a little less.
const hintMargin = 16

func newWays(node string) *ways {
	return &ways{node: node, entries: map[*relay.Track]*wayEntry{}}
}

func (w *ways) entryLocked(t *relay.Track) *wayEntry {
	e := w.entries[t]
	if e == nil {
		e = &wayEntry{way: way{path: []string{w.node}}, changed: make(chan struct{})}
		w.entries[t] = e
	}
	return e
}

// look returns the way of a track, and a channel that is closed when it changes.
func (w *ways) look(t *relay.Track) (way, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entryLocked(t)
	return e.way, e.changed
}

// set says how a track comes: above is the parent's path.
func (w *ways) set(t *relay.Track, above []string, known bool) {
	next := way{path: append([]string{w.node}, above...), known: known}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entryLocked(t)
	if e.way.known == next.known && slices.Equal(e.way.path, next.path) {
		return
	}
	e.way = next
	close(e.changed)
	e.changed = make(chan struct{})
}

// hint notes from which packet on a child needs a layer that does not flow here, so that the parent is asked for no less.
func (w *ways) hint(t *relay.Track, l media.Layer, from uint64) {
	from -= min(from-1, hintMargin)
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entryLocked(t)
	if time.Since(e.hinted) >= hintLimit {
		e.hints = [media.MaxLayers]uint64{}
	}
	if e.hints[l] == 0 || from < e.hints[l] {
		e.hints[l], e.hinted = from, time.Now()
	}
}

// takeHints returns the hints for some layers and forgets them. What was hinted long ago is not meant.
func (w *ways) takeHints(t *relay.Track, layers media.LayerSet) (hints [media.MaxLayers]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[t]
	if e == nil {
		return hints
	}
	for l := range layers.All() {
		if time.Since(e.hinted) < hintLimit {
			hints[l] = e.hints[l]
		}
		e.hints[l] = 0
	}
	return hints
}

// drop forgets a track whose feeding has ended.
func (w *ways) drop(t *relay.Track) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.entries, t)
}
