package routing

import (
	"errors"
	"fmt"

	"lyceum/mesh/link"
	"lyceum/routing/directory"
)

// ErrNoHome means that a room is open and no teacher has come yet, so that its tracks come from nowhere.
var ErrNoHome = errors.New("no teacher has come to this room yet")

// Rooms is what a Table needs of the directory.
type Rooms interface {
	Room(name string) (directory.Room, bool)
	Changed() <-chan struct{}
}

// Table tells a node where a room's tracks come from.
type Table struct {
	// Set by NewTable, never changed.
	self  string
	rooms Rooms
}

// NewTable makes the table of one node.
func NewTable(self string, rooms Rooms) *Table { return &Table{self: self, rooms: rooms} }

// Next is the node from which this node gets a room's tracks.
func (t *Table) Next(room string) (link.Hop, error) {
	r, ok := t.rooms.Room(room)
	if !ok {
		return link.Hop{}, fmt.Errorf("room %s: %w", room, directory.ErrUnknownRoom)
	}
	switch r.Home {
	case "":
		return link.Hop{}, fmt.Errorf("room %s: %w", room, ErrNoHome)
	case t.self:
		return link.Hop{Self: true, Node: t.self, Epoch: r.Epoch}, nil
	}
	return link.Hop{Node: r.Home, Epoch: r.Epoch}, nil
}

// Changed is closed when the answer of Next or Epoch may have changed.
func (t *Table) Changed() <-chan struct{} { return t.rooms.Changed() }

// Epoch is the highest epoch of a room that this node knows, 0 for none.
func (t *Table) Epoch(room string) uint64 {
	r, _ := t.rooms.Room(room)
	return r.Epoch
}
