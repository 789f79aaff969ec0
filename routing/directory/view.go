package directory

import (
	"maps"
	"sync"
)

// recent is how many changes a view remembers. A watcher who is further behind is given everything.
const recent = 4096

// view is this node's copy of the rooms, and the changes that led to it.
type view struct {
	mu sync.RWMutex
	// Guarded by mu.
	rooms   map[string]Room
	index   uint64
	name    string // of the directory
	keys    Keyring
	changes []change      // in the order of their indices
	floor   uint64        // all changes after this index are in changes
	changed chan struct{} // closed at the next change of the rooms or the keys
	moved   chan struct{} // closed when the index moves on
}

// change is a room that is different since an index.
type change struct {
	index uint64
	room  string
}

// update is what has happened to a view: rooms that are as given now, and rooms that are gone.
type update struct {
	Index uint64   `json:"index"`
	Set   []Room   `json:"set,omitempty"`
	Gone  []string `json:"gone,omitempty"`
	// Full means that there are no rooms but those of Set.
	Full bool `json:"full,omitempty"`
	// Directory is the name of the directory; "" says nothing about it.
	Directory string `json:"directory,omitempty"`
	// Keys is the keyring, if it has changed since the index that the update follows on.
	Keys *Keyring `json:"keys,omitempty"`
}

func newView(i image) *view {
	return &view{rooms: byName(i.Rooms), index: i.Index, name: i.Directory, keys: i.Keys, floor: i.Index, changed: make(chan struct{}), moved: make(chan struct{})}
}

func (v *view) room(name string) (Room, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r, ok := v.rooms[name]
	return r, ok
}

// image gives the rooms in the order of their names.
func (v *view) image() image {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return image{Version: imageVersion, Index: v.index, Directory: v.name, Keys: v.keys, Rooms: sorted(v.rooms)}
}

func (v *view) keyring() Keyring {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.keys
}

// directory is the name of the directory.
func (v *view) directory() string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.name
}

func (v *view) size() (rooms int, index uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.rooms), v.index
}

// wait gives a channel that is closed at the next change.
func (v *view) wait() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.changed
}

// advanced gives a channel that is closed when the view moves on, with or without a change.
func (v *view) advanced() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.moved
}

// merge takes an update unless it is older than what the view shows: after a restart, Raft begins with the past.
func (v *view) merge(u update) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if u.Index < v.index {
		return
	}
	if u.Index > v.index {
		close(v.moved)
		v.moved = make(chan struct{})
	}
	if u.Directory != "" {
		v.name = u.Directory
	}
	if u.Keys != nil && u.Keys.Version != v.keys.Version {
		v.keys = *u.Keys
		v.changedLocked()
	}
	if u.Full {
		rooms := byName(u.Set)
		same := maps.Equal(rooms, v.rooms)
		v.rooms, v.index, v.changes, v.floor = rooms, u.Index, nil, u.Index
		if !same {
			v.changedLocked()
		}
		return
	}
	v.index = u.Index
	for _, r := range u.Set {
		v.rooms[r.Name] = r
		v.changes = append(v.changes, change{u.Index, r.Name})
	}
	for _, name := range u.Gone {
		delete(v.rooms, name)
		v.changes = append(v.changes, change{u.Index, name})
	}
	if n := len(v.changes) - recent; n > 0 {
		v.floor = v.changes[n-1].index
		v.changes = append(v.changes[:0], v.changes[n:]...)
	}
	if len(u.Set)+len(u.Gone) > 0 {
		v.changedLocked()
	}
}

func (v *view) changedLocked() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// since gives what has happened after an index. A view that is itself not so far gives an empty update.
func (v *view) since(index uint64) update {
	v.mu.RLock()
	defer v.mu.RUnlock()
	u := update{Index: v.index, Directory: v.name}
	if v.keys.Version > index || index < v.floor && v.keys.Version > 0 {
		u.Keys = new(v.keys)
	}
	switch {
	case index >= v.index:
		u.Index = index
	case index < v.floor:
		u.Full, u.Set = true, sorted(v.rooms)
	default:
		seen := map[string]bool{}
		for _, c := range v.changes {
			if c.index <= index || seen[c.room] {
				continue
			}
			seen[c.room] = true
			if r, ok := v.rooms[c.room]; ok {
				u.Set = append(u.Set, r)
			} else {
				u.Gone = append(u.Gone, c.room)
			}
		}
	}
	return u
}
