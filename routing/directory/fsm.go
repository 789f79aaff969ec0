package directory

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/raft"
)

// fsm joins the machine to Raft and to this node's view. Raft calls it from one goroutine, but for Persist.
type fsm struct {
	// Set by New, never changed.
	view *view
	log  *slog.Logger

	// Owned by Raft's goroutine.
	machine *machine
	level   bool // the view has been brought to the machine's state, and follows it

	// nameless leaves the directory's name out of snapshots, so that its next leader gives it a new one.
	nameless bool
}

// Apply carries out a committed command.
func (f *fsm) Apply(l *raft.Log) any {
	c, err := decodeCommand(l.Data)
	if err != nil {
		// All voters of this version skip it alike.
		f.log.Error("the directory's log has an entry that is not understood", "index", l.Index, "err", err)
		f.machine.index = l.Index
		f.show(update{Index: l.Index})
		return result{Code: codeInvalid, Index: l.Index}
	}
	r := f.machine.apply(l.Index, &c)
	u := update{Index: l.Index, Directory: f.machine.directory}
	if c.Op == opKeys && r.Code == "" {
		u.Keys = new(f.machine.keys)
	}
	if room, ok := f.machine.rooms[c.Room]; ok {
		u.Set = []Room{room}
	} else if c.Room != "" {
		u.Gone = []string{c.Room}
	}
	for _, room := range c.Rooms {
		if room, ok := f.machine.rooms[room.Name]; ok {
			u.Set = append(u.Set, room)
		}
	}
	if r.Index != l.Index || r.Code != "" && c.Op != opRestore {
		u.Set, u.Gone = nil, nil // nothing has changed
	}
	f.show(u)
	return r
}

// show brings the view on. At a restart the view shows what the cache had, which is newer than what Raft begins with,
// until the machine has come as far.
func (f *fsm) show(u update) {
	if !f.level {
		if _, index := f.view.size(); u.Index < index {
			return
		}
		f.level = true
		u = update{Index: f.machine.index, Directory: f.machine.directory, Keys: new(f.machine.keys), Set: sorted(f.machine.rooms), Full: true}
	}
	f.view.merge(u)
}

// Snapshot takes the machine's state.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	i := f.machine.image()
	if f.nameless {
		i.Directory = ""
	}
	return snapshot{i}, nil
}

// Restore replaces the machine's state.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer func() { _ = r.Close() }()
	i, err := readImage(r)
	if err != nil {
		return err
	}
	f.machine.restore(i)
	f.level = false
	f.show(update{Index: i.Index})
	return nil
}

type snapshot struct{ image image }

// Persist writes the snapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := json.NewEncoder(sink).Encode(s.image); err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("write a snapshot of the directory: %w", err)
	}
	return sink.Close()
}

// Release has nothing to give back.
func (s snapshot) Release() {}
