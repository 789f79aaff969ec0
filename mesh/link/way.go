package link

import (
	"slices"
	"sync"

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
}

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

// drop forgets a track whose feeding has ended.
func (w *ways) drop(t *relay.Track) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.entries, t)
}
