package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// database is an opened GeoIP database: exactly one of the readers is set.
type database struct {
	// Set by the functions that open, never changed.
	info    Info
	city    *geoip2.Reader                // a file of MaxMind's or DB-IP's shape, City or Country
	country *maxminddb.Reader             // a file of ip-location-db's shape, with nothing but a country's code
	doubt   func(netip.Addr, string) bool // says which answers of the embedded database are none; nil = all are good
}

// Info describes the database in use.
type Info struct {
	Path  string    `json:"path,omitempty"` // "" = the embedded one
	Type  string    `json:"type"`           // what the file calls itself, as "GeoLite2-City"
	Built time.Time `json:"built"`          // when its maker built it
}

// String says it in a line, as "GeoLite2-City of 2026-06-02 (/var/lib/GeoIP/GeoLite2-City.mmdb)".
func (i Info) String() string {
	where := i.Path
	if where == "" {
		where = "embedded"
	}
	return fmt.Sprintf("%s of %s (%s)", i.Type, i.Built.UTC().Format(time.DateOnly), where)
}

// openFile opens the file that the operator named. The whole file is read into memory: it is often replaced by a plain
// copy over it, which would crash a process that has it mapped.
func openFile(path string) (*database, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the GeoIP database %s does not exist; put a GeoLite2, GeoIP2 or DB-IP file (.mmdb) there, or name none to use the embedded country database", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the GeoIP database: %w", err)
	}
	d, err := openBytes(content)
	if err != nil {
		return nil, fmt.Errorf("open the GeoIP database %s: %w", path, err)
	}
	d.info.Path = path
	return d, nil
}

// openBytes recognises the shape of a database by the type that its metadata states.
func openBytes(content []byte) (*database, error) {
	raw, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, fmt.Errorf("it is no whole .mmdb file, download it again: %w", err)
	}
	d := &database{info: Info{Type: raw.Metadata.DatabaseType, Built: raw.Metadata.BuildTime()}}
	if strings.HasPrefix(d.info.Type, "country ") {
		d.country = raw
	} else if d.city, err = geoip2.OpenBytes(content); err != nil {
		if _, ok := errors.AsType[geoip2.UnknownDatabaseTypeError](err); ok {
			return nil, d.wrongType()
		}
		return nil, err
	}
	// A few look-ups in different parts of the file find the coarse damage now rather than in class.
	for _, a := range [...]string{"1.1.1.1", "8.8.8.8", "103.21.244.1", "193.0.6.139", "2001:4860::1", "2a00:1450::1"} {
		if _, err := d.find(netip.MustParseAddr(a)); err != nil {
			if _, ok := errors.AsType[geoip2.InvalidMethodError](err); ok {
				return nil, d.wrongType()
			}
			return nil, fmt.Errorf("it is damaged, download it again: %w", err)
		}
	}
	return d, nil
}

func (d *database) wrongType() error {
	return fmt.Errorf("it is of the type %q; a City or Country database of GeoLite2, GeoIP2 or DB-IP is needed", d.info.Type)
}

// find looks an unmapped address up. A Place without Source means that the database does not have it; so does a v6
// address in a database of v4 only.
func (d *database) find(a netip.Addr) (Place, error) {
	var p Place
	if d.country != nil {
		if a.Is6() && d.country.Metadata.IPVersion == 4 {
			return Place{}, nil
		}
		if err := d.country.Lookup(a).DecodePath(&p.Country, "country_code"); err != nil {
			return Place{}, err
		}
		if d.doubt != nil && d.doubt(a, p.Country) {
			return Place{}, nil
		}
	} else {
		if a.Is6() && d.city.Metadata().IPVersion == 4 {
			return Place{}, nil
		}
		c, err := d.city.City(a)
		if err != nil {
			return Place{}, err
		}
		p.Country, p.City = c.Country.ISOCode, c.City.Names.English
		if p.Country == "" {
			p.Country = c.RegisteredCountry.ISOCode
		}
		if c.Location.HasCoordinates() {
			p.Point = Point{Lat: *c.Location.Latitude, Lon: *c.Location.Longitude}
			p.Known = p.Point.Valid()
		}
	}
	if !p.Known {
		var at country
		at, p.Known = countries()[p.Country]
		p.Point = at.point
	}
	if p.Known || p.Country != "" || p.City != "" {
		p.Source = SourceGeoIP
	}
	return p, nil
}
