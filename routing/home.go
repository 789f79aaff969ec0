package routing

import (
	"errors"
	"slices"

	"lyceum/geo"
	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

// ErrNoOrigin means that no living node may receive a teacher.
var ErrNoOrigin = errors.New("no node can receive a teacher now; try again in a moment")

// Home decides where a teacher who asks at self publishes. When the answer is self and differs from room.Home, self
// has to claim the room first. A living home keeps its room, so that a teacher who reloads the page finds the students
// where they are; a dead or draining one loses it.
func Home(room directory.Room, self string, members []gossip.Member) (node gossip.Member, err error) {
	at := slices.IndexFunc(members, func(m gossip.Member) bool { return m.ID == self })
	if i := slices.IndexFunc(members, func(m gossip.Member) bool { return m.ID == room.Home }); i >= 0 {
		if receives(members[i]) {
			return members[i], nil
		}
	}
	if at >= 0 && receives(members[at]) {
		return members[at], nil
	}
	var here geo.Point
	if at >= 0 {
		here = members[at].Place
	}
	able := slices.DeleteFunc(slices.Clone(members), func(m gossip.Member) bool { return !receives(m) })
	if len(able) == 0 {
		return gossip.Member{}, ErrNoOrigin
	}
	return slices.MinFunc(able, func(x, y gossip.Member) int {
		return int(here.Kilometres(x.Place) - here.Kilometres(y.Place))
	}), nil
}
