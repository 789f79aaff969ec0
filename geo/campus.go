package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Campus is a network whose place the operator knows better than any database: a university, a school behind NAT.
type Campus struct {
	Name     string         // required, unique
	Prefixes []netip.Prefix // at least one, v4 or v6; the longest that holds an address wins
	Point    Point          // zero = not given: the GeoIP database may still place the address
	Region   string         // "" = the region is chosen by distance
	Nodes    []string       // nodes that serve this campus first; none = any
}

// validate says in the operator's words what is wrong with the campus.
func (c *Campus) validate() error {
	switch {
	case c.Name == "":
		return errors.New("a campus has no name")
	case len(c.Prefixes) == 0:
		return fmt.Errorf("campus %q has no prefixes", c.Name)
	case !c.Point.Valid():
		return fmt.Errorf("campus %q lies at latitude %v, longitude %v; the first can be from -90 to 90, the second from -180 to 180",
			c.Name, c.Point.Lat, c.Point.Lon)
	}
	for _, p := range c.Prefixes {
		if !p.IsValid() {
			return fmt.Errorf("campus %q has a prefix that is none", c.Name)
		}
		if p != p.Masked() {
			return fmt.Errorf("campus %q has the prefix %s, whose address goes on after its %d bits; write %s", c.Name, p, p.Bits(), p.Masked())
		}
	}
	return nil
}

// campuses finds the campus of an address by its longest prefix.
type campuses struct {
	// Set by newCampuses, never changed.
	byPrefix map[netip.Prefix]*Campus
	lengths  [2][]int // of prefixes, longest first; [0] v4, [1] v6
}

func newCampuses(list []Campus) (*campuses, error) {
	t := &campuses{byPrefix: make(map[netip.Prefix]*Campus)}
	list = slices.Clone(list)
	names := make(map[string]bool, len(list))
	for i := range list {
		c := &list[i]
		if err := c.validate(); err != nil {
			return nil, err
		}
		if names[c.Name] {
			return nil, fmt.Errorf("two campuses are called %q", c.Name)
		}
		names[c.Name] = true
		for _, p := range c.Prefixes {
			p = unmap(p)
			if other, ok := t.byPrefix[p]; ok && other != c {
				return nil, fmt.Errorf("campus %q and campus %q both have the prefix %s", other.Name, c.Name, p)
			}
			t.byPrefix[p] = c
			family := 0
			if p.Addr().Is6() {
				family = 1
			}
			if !slices.Contains(t.lengths[family], p.Bits()) {
				t.lengths[family] = append(t.lengths[family], p.Bits())
			}
		}
	}
	for _, l := range t.lengths {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	return t, nil
}

// find returns the campus of an unmapped address without zone, or nil.
func (t *campuses) find(a netip.Addr) *Campus {
	lengths := t.lengths[0]
	if a.Is6() {
		lengths = t.lengths[1]
	}
	for _, bits := range lengths {
		p, err := a.Prefix(bits)
		if err != nil {
			continue // an invalid address has no prefix
		}
		if c, ok := t.byPrefix[p]; ok {
			return c
		}
	}
	return nil
}

// unmap turns a prefix of v4-mapped addresses (::ffff:10.0.0.0/104) into the v4 prefix that it means.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
