package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"

	"lyceum/geo"
)

// maxMeta is memberlist's bound on what a node may say about itself. memberlist panics at one byte more.
const maxMeta = 512

const (
	metaVersion = 1
	// The first byte of a message tells what it is, and in which version.
	newsVersion = 1
	rowVersion  = 2

	maxText  = 255     // bytes of one text field
	maxCount = 1 << 24 // sessions of a node
	// degree is the unit of coordinates on the wire: 1/100,000 of a degree is about a metre.
	degree = 1e5
)

var errMalformed = errors.New("malformed")

var validID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// appendMeta writes what a member says about itself, all but its name, its address and its load.
func appendMeta(b []byte, m *Member) []byte {
	var flags byte
	if m.Draining {
		flags |= 1
	}
	b = append(b, metaVersion, byte(m.Roles), flags)
	b = binary.AppendVarint(b, int64(math.Round(m.Place.Lat*degree)))
	b = binary.AppendVarint(b, int64(math.Round(m.Place.Lon*degree)))
	b = binary.AppendUvarint(b, m.Boot)
	for _, s := range []string{m.Cluster, m.Region, m.Version, m.URL, m.Link} {
		b = appendText(b, s)
	}
	return b
}

// parseMeta reads what appendMeta wrote. Bytes after the fields known here are those of a newer version of lyceum.
func parseMeta(b []byte) (m Member, err error) {
	r := reader{rest: b}
	if len(b) > maxMeta || r.byte() != metaVersion {
		return Member{}, errMalformed
	}
	m.Roles = Roles(r.byte())
	m.Draining = r.byte()&1 != 0
	m.Place = geo.Point{Lat: float64(r.varint()) / degree, Lon: float64(r.varint()) / degree}
	m.Boot = r.uvarint()
	for _, s := range []*string{&m.Cluster, &m.Region, &m.Version, &m.URL, &m.Link} {
		*s = r.text()
	}
	if r.bad || !m.Place.Valid() || !validID.MatchString(m.Cluster) {
		return Member{}, errMalformed
	}
	return m, nil
}

// checkMeta tells an operator what a node may not say about itself.
func checkMeta(m *Member) error {
	for _, f := range []struct{ what, id string }{{"node", m.ID}, {"cluster", m.Cluster}} {
		if !validID.MatchString(f.id) {
			return fmt.Errorf("%s id %q must be 1 to 63 of the characters a-z, 0-9 and '-'", f.what, f.id)
		}
	}
	if !m.Place.Valid() {
		return fmt.Errorf("place %v, %v is not a latitude and a longitude", m.Place.Lat, m.Place.Lon)
	}
	for _, f := range []struct{ what, text string }{
		{"region", m.Region}, {"version", m.Version}, {"url", m.URL}, {"link address", m.Link},
	} {
		if len(f.text) > maxText || !printable(f.text) {
			return fmt.Errorf("%s %q must be at most %d printable ASCII characters without spaces", f.what, f.text, maxText)
		}
	}
	if n := len(appendMeta(nil, m)); n > maxMeta {
		return fmt.Errorf("region, version, url and link address are %d bytes too long together to be gossiped", n-maxMeta)
	}
	return nil
}

// news is what changes often about a member. The newest wins: a later boot, or in the same boot a higher number.
type news struct {
	id      string
	boot    uint64
	number  uint64
	leaving bool
	load    Load
}

func appendNews(b []byte, n *news) []byte {
	var flags byte
	if n.leaving {
		flags |= 1
	}
	b = append(b, newsVersion, flags)
	b = appendText(b, n.id)
	b = binary.AppendUvarint(b, n.boot)
	b = binary.AppendUvarint(b, n.number)
	b = binary.AppendUvarint(b, uint64(max(0, min(n.load.Sessions, maxCount))))
	return binary.AppendUvarint(b, uint64(max(0, min(n.load.Limit, maxCount))))
}

func parseNews(b []byte) (n news, err error) {
	r := reader{rest: b}
	if r.byte() != newsVersion {
		return news{}, errMalformed
	}
	n.leaving = r.byte()&1 != 0
	n.id = r.text()
	n.boot, n.number = r.uvarint(), r.uvarint()
	sessions, limit := r.uvarint(), r.uvarint()
	if r.bad || !validID.MatchString(n.id) || sessions > maxCount || limit > maxCount {
		return news{}, errMalformed
	}
	n.load = Load{Sessions: int(sessions), Limit: int(limit)}
	return n, nil
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// reader reads fields until one is malformed; from then on it reads zeros and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.bad = true
	r.rest = nil
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes reads a length and as many bytes, which still belong to the input.
func (r *reader) bytes(limit uint64) []byte {
	n := r.uvarint()
	if n > limit || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// text reads a string that is safe to log and to show.
func (r *reader) text() string {
	s := string(r.bytes(maxText))
	if !printable(s) {
		r.fail()
		return ""
	}
	return s
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
