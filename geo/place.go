package geo

// Where a Place comes from.
const (
	SourceCampus = "campus" // a prefix that the operator wrote down
	SourceGeoIP  = "geoip"  // a database
)

// Place is what is known about where an address is.
type Place struct {
	Source  string   // SourceCampus, SourceGeoIP, or "" when the place is not known
	Point   Point    // meaningful when Known
	Known   bool     // Point is given
	Country string   // ISO 3166-1 alpha-2 code, may be ""
	City    string   // English name, may be ""
	Campus  string   // name of the campus, "" outside
	Region  string   // region that the campus belongs to, may be ""
	Nodes   []string // nodes that the campus names, in its order; not to be changed
}

// String says the place in a few words, as in "nearest to Mumbai, IN (GeoIP)".
func (p Place) String() string {
	switch {
	case p.Source == SourceCampus:
		return "campus " + p.Campus
	case p.Source == "":
		return "unknown place"
	case p.City != "" && p.Country != "":
		return p.City + ", " + p.Country + " (GeoIP)"
	case p.City != "":
		return p.City + " (GeoIP)"
	}
	if c, ok := countries()[p.Country]; ok {
		return c.name + " (GeoIP)"
	}
	return p.Country + " (GeoIP)"
}
