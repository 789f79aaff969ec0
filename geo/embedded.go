package geo

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// countryGz is the embedded country database, v4 and v6. Its licence and its attribution are the two files below; the
// three travel together.
//
//go:embed data/country.mmdb.gz
var countryGz []byte

//go:embed data/LICENSE
var licence string

//go:embed data/ATTRIBUTION
var attribution string

// Attribution names the makers and the licence of the embedded database, as the licence asks.
func Attribution() string { return attribution }

// Licences is the attribution followed by the whole text of the licence.
func Licences() string { return attribution + "\n" + licence }

// embedded unpacks and opens the embedded database, once for all Locators of the process: 8 MB that nobody changes.
var embedded = sync.OnceValues(unpack)

func unpack() (*database, error) {
	z, err := gzip.NewReader(bytes.NewReader(countryGz))
	if err != nil {
		return nil, fmt.Errorf("unpack the embedded country database: %w", err)
	}
	// The last four bytes are the size of the content (RFC 1952). Growing to it by doubling would leave as much garbage.
	size := int(binary.LittleEndian.Uint32(countryGz[len(countryGz)-4:]))
	content := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := content.ReadFrom(z); err != nil {
		return nil, fmt.Errorf("unpack the embedded country database: %w", err)
	}
	d, err := openBytes(content.Bytes())
	if err != nil {
		return nil, fmt.Errorf("open the embedded country database: %w", err)
	}
	d.doubt = doubtful
	return d, nil
}

// registryBlocks are the oldest v6 blocks of the Asia-Pacific registry, home of many a research network there.
var registryBlocks = [...]netip.Prefix{
	netip.MustParsePrefix("2001:200::/23"), netip.MustParsePrefix("2001:c00::/23"), netip.MustParsePrefix("2001:e00::/23"),
}

// special are networks that belong to nobody in particular and still count as global unicast (RFC 6890, RFC 3849).
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("2001:db8::/32"),
}

// doubtful reports whether an answer of the embedded database speaks of a registry and not of an address. The database
// is made from whois records, and where there is none for a network, it has that of the registry which holds the block:
// private networks, and Chinese, Japanese and Korean universities, would all lie at the registry's office in Australia.
// No place is better than a wrong one: a student whose place is not known is served where they ask.
func doubtful(a netip.Addr, country string) bool {
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if a.IsPrivate() || !a.IsGlobalUnicast() || slices.ContainsFunc(special[:], within) {
		return true
	}
	return country == "AU" && slices.ContainsFunc(registryBlocks[:], within)
}
