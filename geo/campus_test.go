package geo

import (
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestLongestPrefixWins(t *testing.T) {
	table, err := newCampuses([]Campus{
		{Name: "university", Prefixes: prefixes("10.0.0.0/8", "2001:db8::/32")},
		{Name: "north", Prefixes: prefixes("10.20.0.0/16", "2001:db8:20::/48")},
		{Name: "library", Prefixes: prefixes("10.20.30.0/24", "10.20.99.7/32")},
		{Name: "mapped", Prefixes: prefixes("::ffff:192.0.2.0/120")},
		{Name: "everybody over v6", Prefixes: prefixes("::/0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]string{
		"10.1.1.1":       "university",
		"10.20.1.1":      "north",
		"10.20.30.1":     "library",
		"10.20.99.7":     "library",
		"10.20.99.8":     "north",
		"11.0.0.1":       "",
		"192.0.2.9":      "mapped",
		"2001:db8::1":    "university",
		"2001:db8:20::1": "north",
		"2001:db9::1":    "everybody over v6",
	} {
		got := ""
		if c := table.find(netip.MustParseAddr(a)); c != nil {
			got = c.Name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", a, got, want)
		}
	}
}

func TestCampusMistakesAreNamed(t *testing.T) {
	ok := prefixes("10.0.0.0/8")
	for want, list := range map[string][]Campus{
		"has no name":                {{Prefixes: ok}},
		`"a" has no prefixes`:        {{Name: "a"}},
		"two campuses are called":    {{Name: "a", Prefixes: ok}, {Name: "a", Prefixes: prefixes("11.0.0.0/8")}},
		"both have the prefix":       {{Name: "a", Prefixes: ok}, {Name: "b", Prefixes: ok}},
		"write 10.0.0.0/8":           {{Name: "a", Prefixes: prefixes("10.1.2.3/8")}},
		"latitude 100":               {{Name: "a", Prefixes: ok, Point: Point{100, 0}}},
		`"a" has a prefix that is n`: {{Name: "a", Prefixes: make([]netip.Prefix, 1)}},
	} {
		if err := (&Config{Campuses: list}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
