package arch

import (
	"slices"
	"strings"
	"testing"
)

// floors are the packages from the ground up. A package imports those of the floors below it.
var floors = [][]string{
	0: {"geo", "mesh/media"},
	1: {"mesh/relay", "mesh/wire", "mesh/parity", "mesh/gossip", "mesh/pki"},
	2: {"mesh/link"},
	3: {"routing", "routing/directory", "routing/ticket", "routing/wish"},
	4: {"routing/api", "origin", "origin/whip", "edge", "edge/fan", "edge/forward", "edge/whep", "edge/page"},
	5: {"cmd/node", "cmd/client"},
	6: {"cmd/lyceum", "test/*"},
}

// neighbours may be imported on the same floor: what a door opens to, and the nouns that a decision is about.
var neighbours = map[string][]string{
	"routing":      {"routing/directory"},
	"routing/wish": {"routing/ticket"},
	"origin/whip":  {"origin"},
	"edge":         {"edge/fan", "edge/forward"},
	"edge/whep":    {"edge"},
}

// strangers never import one another, not even through a package of the same folder.
var strangers = []string{"origin", "edge", "routing/api"}

// floor returns the floor of a package, or -1.
func floor(folder string) int {
	return slices.IndexFunc(floors, func(f []string) bool {
		return slices.Contains(f, folder) || strings.HasPrefix(folder, "test/") && slices.Contains(f, "test/*")
	})
}

// below reports whether a package may import another.
func below(p, imported string) bool {
	if strings.HasPrefix(p, "test/") && strings.HasPrefix(imported, "test/") {
		return true
	}
	return floor(imported) < floor(p) || slices.Contains(neighbours[p], imported)
}

func TestEveryPackageHasAFloor(t *testing.T) {
	for _, p := range packages(t) {
		if floor(p.Folder) < 0 {
			t.Errorf("%s stands on no floor: add it to floors in test/arch/floors_test.go, as low as what it imports "+
				"allows", p.Folder)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if floor(p.Folder) >= 0 && floor(i) >= 0 && !below(p.Folder, i) {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports point down; state what you need as a small "+
					"interface in %s and let cmd/node join the two", p.Folder, floor(p.Folder), i, floor(i), p.Folder)
			}
		}
		for _, i := range p.TestImports {
			// The simulated network imports nothing of ours, so every test may stand on it.
			if floor(p.Folder) >= 0 && i != p.Folder && i != "test/sim" && !below(p.Folder, i) {
				t.Errorf("a test of %s (floor %d) imports %s (floor %d): move the test to test/, or to the higher of the "+
					"two", p.Folder, floor(p.Folder), i, floor(i))
			}
		}
	}
}

func TestTheSimulatedNetworkStandsAlone(t *testing.T) {
	for _, p := range packages(t) {
		if p.Folder == "test/sim" && len(p.Imports) > 0 {
			t.Errorf("test/sim imports %s: it must import nothing of ours, so that every test may stand on it",
				strings.Join(p.Imports, ", "))
		}
	}
}

func TestOriginEdgeAndAPIAreStrangers(t *testing.T) {
	family := func(folder string) string {
		for _, s := range strangers {
			if folder == s || strings.HasPrefix(folder, s+"/") {
				return s
			}
		}
		return ""
	}
	for _, p := range packages(t) {
		for _, i := range slices.Concat(p.Imports, p.TestImports) {
			if a, b := family(p.Folder), family(i); a != "" && b != "" && a != b {
				t.Errorf("%s imports %s: %s never import one another; cmd/node joins them", p.Folder, i,
					strings.Join(strangers, ", "))
			}
		}
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		p, imported string
		want        bool
	}{
		{"mesh/link", "mesh/relay", true},
		{"mesh/relay", "mesh/link", false},
		{"mesh/relay", "mesh/wire", false},
		{"origin/whip", "origin", true},
		{"origin", "origin/whip", false},
		{"edge", "edge/forward", true},
		{"edge/forward", "edge", false},
		{"cmd/node", "cmd/client", false},
		{"cmd/node", "test/sim", false},
		{"test/story", "test/cluster", true},
		{"test/cluster", "cmd/node", true},
	} {
		if below(c.p, c.imported) != c.want {
			t.Errorf("%s may import %s: %v, want %v", c.p, c.imported, !c.want, c.want)
		}
	}
}
