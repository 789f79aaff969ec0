package routing

import "lyceum/mesh/gossip"

// Elsewhere tells whether a node other than self can take one more student, and whether one can receive a teacher: if
// none can, nobody is better off for being sent away.
func Elsewhere(self string, members []gossip.Member) (student, teacher bool) {
	for _, m := range members {
		if m.ID == self {
			continue
		}
		student = student || serves(m, Request{}, func(string) int { return 0 })
		teacher = teacher || receives(m)
	}
	return student, teacher
}

// receives reports whether a node can receive a teacher.
func receives(m gossip.Member) bool {
	return m.Alive && !m.Draining && m.Roles.Has(gossip.Origin) && m.URL != ""
}
