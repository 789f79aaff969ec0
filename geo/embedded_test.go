package geo

import (
	"net/netip"
	"strings"
	"testing"
)

func newLocator(t testing.TB, cfg Config) *Locator {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestEmbeddedDatabaseKnowsCountries(t *testing.T) {
	l := newLocator(t, Config{})
	for a, want := range map[string]string{
		"8.8.8.8":                 "US",
		"202.141.1.1":             "IN",
		"::ffff:202.141.1.1":      "IN",
		"193.0.6.139":             "NL",
		"133.11.0.1":              "JP", // University of Tokyo
		"143.107.1.1":             "BR", // University of Sao Paulo
		"2001:67c:2e8:22::c100:1": "NL", // RIPE NCC
		"2409:4000::1":            "IN", // Reliance Jio
		"240b:10::1":              "JP", // KDDI
		"2001:44b8::1":            "AU", // Internode
	} {
		p := l.Locate(netip.MustParseAddr(a))
		if p.Country != want || p.Source != SourceGeoIP || !p.Known || p.Point != countries()[want].point {
			t.Errorf("%s: %+v", a, p)
		}
	}
	if s := l.Locate(netip.MustParseAddr("202.141.1.1")).String(); s != "India (GeoIP)" {
		t.Error(s)
	}
}

func TestPrivateAddressesHaveNoPlace(t *testing.T) {
	l := newLocator(t, Config{})
	for _, a := range []string{
		"127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "0.0.0.0",
	} {
		if p := l.Locate(netip.MustParseAddr(a)); p.Source != "" || p.Known || p.String() != "unknown place" {
			t.Errorf("%s: %+v", a, p)
		}
	}
	for _, a := range []string{"172.16.0.1", "2001:200::1", "2001:da8::1", "2001:e68::1"} {
		if p := l.Locate(netip.MustParseAddr(a)); p.Source != "" {
			t.Errorf("%s lies at the registry: %+v", a, p)
		}
	}
	if p := l.Locate(netip.Addr{}); p.Source != "" {
		t.Errorf("no address: %+v", p)
	}
}

func TestEveryEmbeddedCountryIsInTheTable(t *testing.T) {
	d, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for r := range d.country.Networks() {
		var code string
		if err := r.DecodePath(&code, "country_code"); err != nil {
			t.Fatal(err)
		}
		seen[code]++
	}
	if len(seen) < 200 {
		t.Errorf("only %d countries", len(seen))
	}
	delete(seen, "AN") // one network is still registered in the Netherlands Antilles, dissolved in 2010: no place
	for code, n := range seen {
		if _, ok := countries()[code]; !ok {
			t.Errorf("%q, the country of %d networks, has no place", code, n)
		}
	}
}

func TestEmbeddedDatabaseNamesItsMakers(t *testing.T) {
	for _, want := range []string{"Number Resource Organization", "ip-location-db", "creativecommons.org/licenses/by/4.0", "Changes:"} {
		if !strings.Contains(Attribution(), want) {
			t.Errorf("the attribution lacks %q", want)
		}
	}
	if !strings.Contains(Licences(), "Attribution 4.0 International") || !strings.HasPrefix(Licences(), Attribution()) {
		t.Error("the licence is missing")
	}
	if i := newLocator(t, Config{}).Database(); i.Path != "" || !strings.HasSuffix(i.String(), "(embedded)") || i.Built.Year() < 2026 {
		t.Error(i.String())
	}
}

func BenchmarkUnpackEmbedded(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(); err != nil {
			b.Fatal(err)
		}
	}
}
