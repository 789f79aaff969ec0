package geo

import (
	"bytes"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

type city struct {
	iso, name string
	lat, lon  float64
}

// cities puts addresses that this machine has, or could have, into real cities.
var cities = map[string]city{
	"127.0.1.0/24":    {"IN", "Mumbai", 19.07, 72.87},
	"127.0.2.0/24":    {"BR", "São Paulo", -23.55, -46.63},
	"127.0.3.0/24":    {"NL", "Amsterdam", 52.37, 4.9},
	"10.99.1.0/24":    {"KE", "Nairobi", -1.29, 36.82},
	"2001:db8:5::/48": {"SG", "Singapore", 1.35, 103.82},
	"127.0.4.0/24":    {"JP", "", math.NaN(), 0}, // a record without city and coordinates
	"127.0.5.0/24":    {"", "Atlantis", 31, -24},
	"127.0.6.0/24":    {"EU", "", math.NaN(), 0}, // a code that is no country
	"2001:4860::/32":  {"US", "", 37.75, -97.82},
}

// mmdb builds a database of cities as their makers do. It is of v4 only when v4 is set.
func mmdb(t testing.TB, kind string, v4 bool) []byte {
	t.Helper()
	opt := mmdbwriter.Options{DatabaseType: kind, RecordSize: 24, IncludeReservedNetworks: true}
	if v4 {
		opt.IPVersion = 4
	}
	w, err := mmdbwriter.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for cidr, c := range cities {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if v4 && n.IP.To4() == nil {
			continue
		}
		record := mmdbtype.Map{}
		if strings.HasPrefix(kind, "country ") {
			record["country_code"] = mmdbtype.String(c.iso)
		} else {
			record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(c.iso)}
			if strings.Contains(kind, "City") {
				record["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(c.name)}}
				if !math.IsNaN(c.lat) {
					record["location"] = mmdbtype.Map{"latitude": mmdbtype.Float64(c.lat), "longitude": mmdbtype.Float64(c.lon)}
				}
			}
		}
		if err := w.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// file writes a database beside the test and returns its path.
func file(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "places.mmdb")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCityDatabaseGivesCities(t *testing.T) {
	for _, kind := range []string{"GeoLite2-City", "GeoIP2-City", "DBIP-City-Lite"} {
		l := newLocator(t, Config{Database: file(t, mmdb(t, kind, false))})
		for a, want := range map[string]string{
			"127.0.1.9":        "Mumbai, IN (GeoIP)",
			"::ffff:127.0.1.9": "Mumbai, IN (GeoIP)",
			"127.0.2.9":        "São Paulo, BR (GeoIP)",
			"10.99.1.4":        "Nairobi, KE (GeoIP)",
			"2001:db8:5::7":    "Singapore, SG (GeoIP)",
			"127.0.4.1":        "Japan (GeoIP)",
			"127.0.5.1":        "Atlantis (GeoIP)",
			"127.0.6.1":        "EU (GeoIP)",
			"127.0.9.9":        "unknown place",
			"2001:db8:6::7":    "unknown place",
		} {
			if got := l.Locate(netip.MustParseAddr(a)).String(); got != want {
				t.Errorf("%s: %s: got %s, want %s", kind, a, got, want)
			}
		}
		if p := l.Locate(netip.MustParseAddr("127.0.1.9")); !p.Known || p.Point != (Point{19.07, 72.87}) {
			t.Errorf("Mumbai: %+v", p)
		}
		if p := l.Locate(netip.MustParseAddr("127.0.4.1")); !p.Known || p.Point != countries()["JP"].point {
			t.Errorf("a record without coordinates is not placed in its country: %+v", p)
		}
		if p := l.Locate(netip.MustParseAddr("127.0.6.1")); p.Known {
			t.Errorf("a code that is no country has a point: %+v", p)
		}
		if i := l.Database(); i.Type != kind || i.Path == "" || !strings.Contains(i.String(), i.Path) || i.Built.IsZero() {
			t.Errorf("%+v", i)
		}
	}
}

func TestCountryDatabasePlacesByCountry(t *testing.T) {
	for _, kind := range []string{"GeoLite2-Country", "DBIP-Country-Lite", "country ipvAll"} {
		l := newLocator(t, Config{Database: file(t, mmdb(t, kind, false))})
		p := l.Locate(netip.MustParseAddr("127.0.1.9"))
		if p.Country != "IN" || p.City != "" || !p.Known || p.Point != countries()["IN"].point {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}

func TestDatabaseOfV4OnlyKnowsNoV6(t *testing.T) {
	for _, kind := range []string{"GeoLite2-City", "country ipv4"} {
		l := newLocator(t, Config{Database: file(t, mmdb(t, kind, true))})
		if p := l.Locate(netip.MustParseAddr("2001:db8:5::7")); p.Source != "" || l.damaged.Load() {
			t.Errorf("%s: %+v", kind, p)
		}
		if p := l.Locate(netip.MustParseAddr("::ffff:127.0.1.9")); p.Country != "IN" {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}

func TestBadDatabaseFilesAreNamed(t *testing.T) {
	good := mmdb(t, "GeoLite2-City", false)
	damaged := slices.Clone(good)
	for i := range damaged[:len(damaged)/2] { // the search tree
		damaged[i] = 0xff
	}
	asn := mmdb(t, "GeoLite2-ASN", false)
	for name, c := range map[string]struct {
		path string
		want string
	}{
		"missing":      {filepath.Join(t.TempDir(), "absent.mmdb"), "does not exist"},
		"a directory":  {t.TempDir(), "is a directory"},
		"empty":        {file(t, nil), "download it again"},
		"a web page":   {file(t, []byte("<html>Invalid license key</html>")), "download it again"},
		"cut short":    {file(t, good[:len(good)/2]), "download it again"},
		"damaged":      {file(t, damaged), "damaged"},
		"wrong type":   {file(t, asn), `of the type "GeoLite2-ASN"; a City or Country database`},
		"unknown type": {file(t, mmdb(t, "My-Own", false)), `of the type "My-Own"; a City or Country database`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Database: c.path})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("got %v, want %q and the path", err, c.want)
			}
		})
	}
}

func TestDamagedRecordIsAnUnknownPlaceAndLoggedOnce(t *testing.T) {
	content := mmdb(t, "GeoLite2-City", false)
	i := bytes.Index(content, []byte("Mumbai"))
	content[i-1] = 0xff // the type and size of the text in front of it
	var out bytes.Buffer
	l := newLocator(t, Config{Database: file(t, content), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range 3 {
		if p := l.Locate(netip.MustParseAddr("127.0.1.9")); p.Source != "" {
			t.Errorf("got %+v", p)
		}
	}
	if n := strings.Count(out.String(), "is damaged"); n != 1 {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

func TestCampusComesBeforeDatabase(t *testing.T) {
	l := newLocator(t, Config{
		Database: file(t, mmdb(t, "GeoLite2-City", false)),
		Campuses: []Campus{
			{Name: "north", Prefixes: prefixes("127.0.1.0/25", "2001:db8:5:1::/64"), Point: Point{60, 10}, Region: "eu", Nodes: []string{"fra-1"}},
			{Name: "south", Prefixes: prefixes("10.99.1.0/24", "192.168.0.0/16")},
		},
	})
	for _, a := range []string{"127.0.1.9", "::ffff:127.0.1.9", "2001:db8:5:1::9"} {
		p := l.Locate(netip.MustParseAddr(a))
		if p.String() != "campus north" || p.Source != SourceCampus || p.Point != (Point{60, 10}) || !p.Known || p.Region != "eu" ||
			!slices.Equal(p.Nodes, []string{"fra-1"}) {
			t.Errorf("%s: %+v", a, p)
		}
	}
	if p := l.Locate(netip.MustParseAddr("127.0.1.200")); p.City != "Mumbai" {
		t.Errorf("beside the campus: %+v", p)
	}
	if p := l.Locate(netip.MustParseAddr("10.99.1.4")); p.Campus != "south" || !p.Known || p.Point != (Point{-1.29, 36.82}) {
		t.Errorf("a campus without a point is not placed by the database: %+v", p)
	}
	if p := l.Locate(netip.MustParseAddr("192.168.1.1")); p.Campus != "south" || p.Known {
		t.Errorf("a campus without any point: %+v", p)
	}
}

func TestLocatorIsSharedAndClosed(t *testing.T) {
	l := newLocator(t, Config{Campuses: []Campus{{Name: "north", Prefixes: prefixes("10.0.0.0/8")}}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				l.Locate(netip.MustParseAddr("8.8.8.8"))
			}
		})
	}
	wg.Go(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if p := l.Locate(netip.MustParseAddr("8.8.8.8")); p.Source != "" {
		t.Errorf("closed: %+v", p)
	}
	if p := l.Locate(netip.MustParseAddr("10.1.1.1")); p.Campus != "north" {
		t.Errorf("closed, campus: %+v", p)
	}
	if p := newLocator(t, Config{}).Locate(netip.MustParseAddr("8.8.8.8")); p.Country != "US" {
		t.Errorf("closing one Locator closes another: %+v", p)
	}
}

func BenchmarkLocate(b *testing.B) {
	campus := Config{Campuses: []Campus{{Name: "north", Prefixes: prefixes("10.20.0.0/16", "10.0.0.0/8", "2001:db8::/32")}}}
	own := campus
	own.Database = file(b, mmdb(b, "GeoLite2-City", false))
	for name, c := range map[string]struct {
		cfg  Config
		addr string
	}{
		"campus":   {campus, "10.1.2.3"},
		"embedded": {campus, "202.141.1.1"},
		"city":     {own, "127.0.1.9"},
	} {
		b.Run(name, func(b *testing.B) {
			l, a := newLocator(b, c.cfg), netip.MustParseAddr(c.addr)
			b.ReportAllocs()
			for b.Loop() {
				l.Locate(a)
			}
		})
	}
}
