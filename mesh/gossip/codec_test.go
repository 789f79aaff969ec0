package gossip

import (
	"math"
	"strings"
	"testing"

	"lyceum/geo"
)

func somebody() Member {
	return Member{
		ID: "fra-1", Cluster: "demo", Region: "eu", Version: "v0.1.0", Place: geo.Point{Lat: 50.11055, Lon: -8.68213},
		Roles: Origin | Edge | Voter, URL: "https://fra-1.example.org:8443", Link: "192.0.2.1:7000", Draining: true,
		Boot: 1_790_000_000_123,
	}
}

func TestMetaCarriesAMember(t *testing.T) {
	want := somebody()
	got, err := parseMeta(appendMeta(nil, &want))
	if err != nil {
		t.Fatal(err)
	}
	got.ID = want.ID
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if _, err := parseMeta(append(appendMeta(nil, &want), 1, 2, 3)); err != nil {
		t.Errorf("fields of a newer version are in the way: %v", err)
	}
}

func TestWhatANodeMayNotSayOfItself(t *testing.T) {
	for name, change := range map[string]func(*Member){
		"no id":          func(m *Member) { m.ID = "" },
		"cluster":        func(m *Member) { m.Cluster = "Demo" },
		"off the earth":  func(m *Member) { m.Place.Lat = 91 },
		"spaces":         func(m *Member) { m.Region = "a b" },
		"control":        func(m *Member) { m.URL = "http://a\n" },
		"long text":      func(m *Member) { m.URL = strings.Repeat("a", 256) },
		"long together":  func(m *Member) { m.URL, m.Link = strings.Repeat("a", 255), strings.Repeat("b", 255) },
		"not any number": func(m *Member) { m.Place.Lon = math.NaN() },
	} {
		m := somebody()
		change(&m)
		if checkMeta(&m) == nil {
			t.Errorf("%s: %+v was accepted", name, m)
		}
	}
}

func FuzzParseMeta(f *testing.F) {
	m := somebody()
	f.Add(appendMeta(nil, &m))
	f.Add([]byte{metaVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		m.ID = "a"
		if err := checkMeta(&m); err != nil && len(appendMeta(nil, &m)) <= maxMeta {
			t.Fatalf("parsed what nobody may say: %v", err)
		}
		if again, err := parseMeta(appendMeta(nil, &m)); err == nil {
			again.ID = "a"
			if again != m {
				t.Fatalf("%+v became %+v", m, again)
			}
		}
	})
}

func FuzzParseNews(f *testing.F) {
	f.Add(appendNews(nil, &news{id: "fra-1", boot: 1 << 60, number: 7, leaving: true, load: Load{Sessions: 10, Limit: 100}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNews(b)
		if err != nil {
			return
		}
		if again, err := parseNews(appendNews(nil, &n)); err != nil || again != n {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}
