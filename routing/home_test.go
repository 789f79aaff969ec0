package routing

import (
	"errors"
	"testing"

	"lyceum/mesh/gossip"
	"lyceum/mesh/media"
	"lyceum/routing/directory"
)

func TestHome(t *testing.T) {
	dead := with(frankfurt, func(m *gossip.Member) { m.Alive = false })
	draining := with(frankfurt, func(m *gossip.Member) { m.Draining = true })
	edgeOnly := with(virginia, func(m *gossip.Member) { m.Roles = gossip.Edge })
	for name, c := range map[string]struct {
		home, self string
		members    []gossip.Member
		want       string
	}{
		"the first teacher's node":                  {"", "virginia", []gossip.Member{frankfurt, singapore, virginia}, "virginia"},
		"a living home keeps its room":              {"frankfurt", "virginia", []gossip.Member{frankfurt, virginia}, "frankfurt"},
		"a dead home loses it":                      {"frankfurt", "virginia", []gossip.Member{dead, virginia}, "virginia"},
		"a draining home loses it":                  {"frankfurt", "frankfurt", []gossip.Member{draining, singapore}, "singapore"},
		"a home that nobody has seen":               {"oslo", "virginia", []gossip.Member{virginia}, "virginia"},
		"a node that takes no teachers":             {"", "virginia", []gossip.Member{frankfurt, singapore, edgeOnly}, "frankfurt"},
		"a node that takes none, and a dead home":   {"frankfurt", "virginia", []gossip.Member{dead, singapore, edgeOnly}, "singapore"},
		"a node that has not seen itself by gossip": {"", "oslo", []gossip.Member{singapore}, "singapore"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Home(directory.Room{Name: "algebra", Home: c.home}, c.self, c.members)
			if err != nil || got.ID != c.want {
				t.Errorf("home %q (%v), want %s", got.ID, err, c.want)
			}
		})
	}
	if _, err := Home(directory.Room{}, "virginia", []gossip.Member{edgeOnly}); !errors.Is(err, ErrNoOrigin) {
		t.Errorf("error %v, want ErrNoOrigin", err)
	}
}

// fixedRooms is a directory of fixed rooms.
type fixedRooms map[string]directory.Room

func (f fixedRooms) Room(name string) (directory.Room, bool) { r, ok := f[name]; return r, ok }
func (f fixedRooms) Changed() <-chan struct{}                { return nil }

func TestTable(t *testing.T) {
	table := NewTable(TableConfig{Node: "virginia", Rooms: fixedRooms{
		"mine":  {Home: "virginia", Epoch: 7},
		"yours": {Home: "frankfurt", Epoch: 9},
		"new":   {},
	}})
	if hop, err := table.Next(media.TrackID{Room: "mine"}, nil); err != nil || !hop.Self || hop.Epoch != 7 {
		t.Errorf("mine: %+v %v", hop, err)
	}
	if hop, err := table.Next(media.TrackID{Room: "yours"}, nil); err != nil || hop.Self || hop.Node != "frankfurt" || table.Epoch("yours") != 9 {
		t.Errorf("yours: %+v %v", hop, err)
	}
	if _, err := table.Next(media.TrackID{Room: "new"}, nil); !errors.Is(err, ErrNoHome) {
		t.Errorf("new: %v, want ErrNoHome", err)
	}
	if _, err := table.Next(media.TrackID{Room: "none"}, nil); !errors.Is(err, directory.ErrUnknownRoom) || table.Epoch("none") != 0 {
		t.Errorf("none: %v, want ErrUnknownRoom", err)
	}
}
