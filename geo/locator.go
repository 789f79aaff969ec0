package geo

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
)

// Config sets up a Locator.
type Config struct {
	Database string       // path of a GeoLite2, GeoIP2 or DB-IP file, City or Country; "" = the embedded country database
	Campuses []Campus     // networks whose place is known; none = only the database
	Logger   *slog.Logger // nil = discard
}

// Validate says in the operator's words what is wrong with the configuration. It does not open the database.
func (c *Config) Validate() error {
	_, err := newCampuses(c.Campuses)
	return err
}

// Locator finds the places of addresses. It is safe for concurrent use.
type Locator struct {
	// Set by New, never changed.
	campuses *campuses
	info     Info
	log      *slog.Logger

	database atomic.Pointer[database] // nil after Close
	damaged  atomic.Bool              // a look-up has failed, and the log says so
}

// New opens the database.
func New(cfg Config) (*Locator, error) {
	c, err := newCampuses(cfg.Campuses)
	if err != nil {
		return nil, err
	}
	var d *database
	if cfg.Database == "" {
		d, err = embedded()
	} else {
		d, err = openFile(cfg.Database)
	}
	if err != nil {
		return nil, err
	}
	l := &Locator{campuses: c, info: d.info, log: cfg.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.database.Store(d)
	return l, nil
}

// Locate returns where an address is: the campus with the longest prefix, else what the database says, else a Place
// that is not known. Addresses of private networks are known only when a campus or the database has them.
func (l *Locator) Locate(a netip.Addr) Place {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Place{}
	}
	c := l.campuses.find(a)
	if c == nil {
		return l.find(a)
	}
	p := Place{Point: c.Point, Known: !c.Point.IsZero()}
	if !p.Known {
		p = l.find(a)
	}
	p.Source, p.Campus, p.Region, p.Nodes = SourceCampus, c.Name, c.Region, c.Nodes
	return p
}

// find asks the database. A damaged record counts as an unknown place: a student is served all the same.
func (l *Locator) find(a netip.Addr) Place {
	d := l.database.Load()
	if d == nil {
		return Place{}
	}
	p, err := d.find(a)
	if err != nil {
		if !l.damaged.Swap(true) {
			l.log.Warn("the GeoIP database is damaged, some addresses have no place", "database", l.info.String(), "err", err)
		}
		return Place{}
	}
	return p
}

// Database describes the database in use.
func (l *Locator) Database() Info { return l.info }

// Close lets go of the database. Later addresses outside every campus have no place.
func (l *Locator) Close() error {
	l.database.Store(nil)
	return nil
}
