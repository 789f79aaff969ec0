package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"lyceum/mesh/gossip"
)

// Config is all that an operator says about a node. Paths are relative to the working directory.
type Config struct {
	// Node is this node's name in the cluster, the one in its certificate: lower-case letters, digits and hyphens.
	Node string `koanf:"node"`
	// Cluster is the cluster's name, the one in its certificates.
	Cluster string `koanf:"cluster"`
	// Region groups nodes that are near one another, "eu-central" for example.
	Region string `koanf:"region"`
	// Place is where the node is on earth; students are sent to near nodes.
	Place Place `koanf:"place"`
	// Roles say which doors are open: "origin" takes teachers, "edge" takes students, and "hub" feeds the other nodes of
	// its region, which is every node's work where none has this role. Empty means origin and edge.
	Roles []string `koanf:"roles"`
	// Data is the folder for the room directory. It is made if it does not exist.
	Data string `koanf:"data"`
	// Seats is how many students the node serves at once. 0 means 2,000.
	Seats int `koanf:"seats"`

	// Grace is how many seconds a node that is told to end (SIGTERM) gives its people to go elsewhere. 0 means 10, and -1
	// ends at once. Whatever stops the node must wait for longer.
	Grace int `koanf:"grace"`

	HTTP      HTTP      `koanf:"http"`
	Admin     Admin     `koanf:"admin"`
	WebRTC    WebRTC    `koanf:"webrtc"`
	Mesh      Mesh      `koanf:"mesh"`
	Gossip    Gossip    `koanf:"gossip"`
	Directory Directory `koanf:"directory"`
	PKI       PKI       `koanf:"pki"`
	Tokens    Tokens    `koanf:"tokens"`
	Geo       Geo       `koanf:"geo"`
	Log       Log       `koanf:"log"`
}

// Place is a point on earth.
type Place struct {
	// Name is shown to people, "Frankfurt" for example.
	Name string `koanf:"name"`
	// Latitude and Longitude are in degrees, north and east positive.
	Latitude  float64 `koanf:"latitude"`
	Longitude float64 `koanf:"longitude"`
}

// HTTP is the public listener: pages, WHIP, WHEP and joins.
type HTTP struct {
	// Listen is host:port over TCP. Empty means ":8443" with a certificate and "127.0.0.1:8080" without.
	Listen string `koanf:"listen"`
	// URL is how people reach the listener, "https://fra.class.example". Empty means the listening address, which
	// must then be one that students can reach.
	URL string `koanf:"url"`
	// Certificate and Key are PEM files for HTTPS. Without them the listener speaks HTTP and must be on loopback or
	// behind a proxy that ends TLS.
	Certificate string `koanf:"certificate"`
	Key         string `koanf:"key"`
	// Proxies are the prefixes of proxies whose X-Forwarded-For is believed. Empty believes nobody.
	Proxies []string `koanf:"proxies"`
	// Origins are the web origins that may call this node from a page, "https://lms.example". Empty allows all:
	// the right to do anything comes from a token, never from a cookie.
	Origins []string `koanf:"origins"`
	// Frames are the web origins that may show the pages in a frame. Empty means none.
	Frames []string `koanf:"frames"`
}

// Admin is the listener for operators: health, metrics, status. It has no authentication.
type Admin struct {
	// Listen is host:port over TCP. Empty means "127.0.0.1:7701".
	Listen string `koanf:"listen"`
}

// WebRTC is the one UDP port for all media to and from people.
type WebRTC struct {
	// Listen is host:port over UDP. Empty means "0.0.0.0:7702".
	Listen string `koanf:"listen"`
	// Addresses are the public addresses to offer when the node is behind a 1:1 NAT. Empty means those it has.
	Addresses []string `koanf:"addresses"`
}

// Mesh is the QUIC port between nodes.
type Mesh struct {
	// Listen is host:port over UDP. Empty means "0.0.0.0:7703".
	Listen string `koanf:"listen"`
	// Advertise is how other nodes reach the port. Empty means the listening address.
	Advertise string `koanf:"advertise"`
	// Stripes is the number of QUIC connections of a link that this node dials, 2 to 16. 0 lets the number follow the
	// demand and the losses of the way.
	Stripes int `koanf:"stripes"`
}

// Gossip is the port by which the nodes find one another, over UDP and TCP.
type Gossip struct {
	// Listen is address:port. Empty means "0.0.0.0:7704".
	Listen string `koanf:"listen"`
	// Advertise is how other nodes reach the port. Empty means the listening address.
	Advertise string `koanf:"advertise"`
	// Key is a file with the cluster's gossip key, 32 bytes in base64.
	Key string `koanf:"key"`
	// Seeds are host:port of any nodes of the cluster; one that answers is enough.
	Seeds []string `koanf:"seeds"`
}

// Directory is the Raft directory of rooms.
type Directory struct {
	// Expect is how many nodes found the directory when they find one another through gossip.seeds, 1, 3 or 5; the same on
	// all nodes that are to agree on the rooms. Nodes that come later with the same number join. 0 follows the directory of
	// the others, or, without seeds, begins one alone.
	Expect int `koanf:"expect"`
	// Voters fixes which nodes found the directory instead, 1, 3 or 5 of them, the same list on every node. It is only their
	// first set: nodes with expect join later, and lyceum nodes shows who votes.
	Voters []string `koanf:"voters"`
}

// PKI is what makes this node known to the others.
type PKI struct {
	// Authority is the cluster's CA certificate, Certificate and Key are this node's, all PEM files.
	Authority   string `koanf:"authority"`
	Certificate string `koanf:"certificate"`
	Key         string `koanf:"key"`
}

// Tokens is what people's tokens are signed and checked with.
type Tokens struct {
	// Keys is a PEM file of Ed25519 keys, the same on every node.
	Keys string `koanf:"keys"`
}

// Geo tells where addresses are.
type Geo struct {
	// Database is a GeoLite2, GeoIP2 or DB-IP file (City or Country). Empty means the embedded country database.
	Database string `koanf:"database"`
	// Campuses are networks whose place is known better than any database knows it.
	Campuses []Campus `koanf:"campuses"`
}

// Campus is a network of a university.
type Campus struct {
	// Name is shown to people.
	Name string `koanf:"name"`
	// Prefixes are its networks, as the nodes see them.
	Prefixes []string `koanf:"prefixes"`
	// Place is where it is.
	Place Place `koanf:"place"`
	// Region prefers the nodes of a region for its students.
	Region string `koanf:"region"`
	// Nodes prefers these nodes, in this order.
	Nodes []string `koanf:"nodes"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error. Empty means info.
	Level string `koanf:"level"`
	// Format is text or json. Empty means text.
	Format string `koanf:"format"`
}

// WithDefaults returns c with every empty field that has a default filled in.
func (c Config) WithDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	if len(c.Roles) == 0 {
		c.Roles = []string{"origin", "edge"}
	}
	if c.Seats == 0 {
		c.Seats = 2000
	}
	if c.Grace == 0 {
		c.Grace = 10
	}
	if len(c.Directory.Voters) == 0 && c.Directory.Expect == 0 && len(c.Gossip.Seeds) == 0 && c.Node != "" {
		c.Directory.Voters = []string{c.Node}
	}
	scheme, listen := "http", "127.0.0.1:8080"
	if c.HTTP.Certificate != "" {
		scheme, listen = "https", ":8443"
	}
	def(&c.HTTP.Listen, listen)
	def(&c.HTTP.URL, scheme+"://"+c.HTTP.Listen)
	c.HTTP.URL = strings.TrimSuffix(c.HTTP.URL, "/")
	def(&c.Admin.Listen, "127.0.0.1:7701")
	def(&c.WebRTC.Listen, "0.0.0.0:7702")
	def(&c.Mesh.Listen, "0.0.0.0:7703")
	def(&c.Mesh.Advertise, c.Mesh.Listen)
	def(&c.Gossip.Listen, "0.0.0.0:7704")
	def(&c.Gossip.Advertise, c.Gossip.Listen)
	def(&c.Log.Level, "info")
	def(&c.Log.Format, "text")
	return c
}

var (
	nodeName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	levels   = []string{"debug", "info", "warn", "error"}
	formats  = []string{"text", "json"}
	roles    = map[string]gossip.Roles{"origin": gossip.Origin, "edge": gossip.Edge, "hub": gossip.Hub}
)

// Validate says in the operator's words what is wrong with a configuration whose defaults are filled in. It looks at
// no file.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	name := func(key, v string) {
		if v == "" {
			bad(key, "is missing; use 1 to 63 lower-case letters, digits and hyphens")
		} else if !nodeName.MatchString(v) {
			bad(key, "%q is not a name; use 1 to 63 lower-case letters, digits and hyphens", v)
		}
	}
	hostPort := func(key, v string) (host string) {
		host, port, err := net.SplitHostPort(v)
		if err != nil || port == "" {
			bad(key, "%q is not host:port", v)
		}
		return host
	}
	reachable := func(key, v string) {
		if a, err := netip.ParseAddr(hostPort(key, v)); err == nil && a.IsUnspecified() {
			bad(key, "other nodes cannot reach %q; name the address by which they reach this node", v)
		}
	}
	required := func(key, v, what string) {
		if v == "" {
			bad(key, "is missing; name %s", what)
		}
	}
	name("node", c.Node)
	name("cluster", c.Cluster)
	required("region", c.Region, "the region of this node, such as eu-central")
	required("data", c.Data, "a folder for the room directory")
	c.Place.validate("place", bad)
	for _, r := range c.Roles {
		if roles[r] == 0 {
			bad("roles", "%q is not a role; use origin, edge and hub", r)
		}
	}
	if c.Seats < 0 {
		bad("seats", "%d is less than nobody", c.Seats)
	}

	if c.Grace < -1 || c.Grace > 3600 {
		bad("grace", "%d is not between 1 and 3600 seconds, nor -1 to end at once", c.Grace)
	}

	hostPort("admin.listen", c.Admin.Listen)
	hostPort("webrtc.listen", c.WebRTC.Listen)
	hostPort("mesh.listen", c.Mesh.Listen)
	hostPort("gossip.listen", c.Gossip.Listen)
	reachable("mesh.advertise", c.Mesh.Advertise)
	reachable("gossip.advertise", c.Gossip.Advertise)
	for _, s := range c.Gossip.Seeds {
		hostPort("gossip.seeds", s)
	}
	for _, a := range c.WebRTC.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			bad("webrtc.addresses", "%q is not an IP address", a)
		}
	}
	if n := c.Mesh.Stripes; n != 0 && (n < 2 || n > 16) {
		bad("mesh.stripes", "%d is neither 0, which follows the demand, nor between 2 and 16", n)
	}
	c.HTTP.validate(bad, hostPort)
	switch e := c.Directory.Expect; {
	case e != 0 && e != 1 && e != 3 && e != 5:
		bad("directory.expect", "%d nodes cannot found a directory; use 1, 3 or 5", e)
	case e == 1 && len(c.Gossip.Seeds) > 0:
		bad("directory.expect", "1 begins a directory of its own, and gossip.seeds names others; leave one of them out")
	case e > 1 && len(c.Gossip.Seeds) == 0 && len(c.Directory.Voters) == 0:
		bad("directory.expect", "%d nodes cannot find one another without gossip.seeds; name any of them", e)
	}
	if n := len(c.Directory.Voters); n > 0 && (n%2 == 0 || n > 5) {
		bad("directory.voters", "there are %d; use 1, 3 or 5 nodes", n)
	}
	for _, v := range c.Directory.Voters {
		name("directory.voters", v)
	}
	required("pki.authority", c.PKI.Authority, "the cluster's CA certificate (lyceum pki init makes one)")
	required("pki.certificate", c.PKI.Certificate, "this node's certificate (lyceum pki issue makes one)")
	required("pki.key", c.PKI.Key, "this node's private key (lyceum pki issue makes one)")
	required("gossip.key", c.Gossip.Key, "the file with the cluster's gossip key (lyceum pki init makes one)")
	required("tokens.keys", c.Tokens.Keys, "the file with the token keys (lyceum pki init makes one)")
	for i, campus := range c.Geo.Campuses {
		key := fmt.Sprintf("geo.campuses[%d]", i)
		required(key+".name", campus.Name, "the campus")
		campus.Place.validate(key+".place", bad)
		if len(campus.Prefixes) == 0 {
			bad(key+".prefixes", "is empty; name the campus's networks")
		}
		for _, p := range campus.Prefixes {
			if _, err := netip.ParsePrefix(p); err != nil {
				bad(key+".prefixes", "%q is not a prefix such as 192.0.2.0/24", p)
			}
		}
	}
	if !slices.Contains(levels, c.Log.Level) {
		bad("log.level", "%q is not a level; use %s", c.Log.Level, strings.Join(levels, ", "))
	}
	if !slices.Contains(formats, c.Log.Format) {
		bad("log.format", "%q is not a format; use text or json", c.Log.Format)
	}
	return errors.Join(errs...)
}

func (h HTTP) validate(bad func(key, format string, args ...any), hostPort func(key, v string) string) {
	host := hostPort("http.listen", h.Listen)
	if (h.Certificate == "") != (h.Key == "") {
		bad("http.key", "HTTPS needs both http.certificate and http.key")
	}
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" || u.RawQuery != "":
		bad("http.url", "%q is not like https://fra.class.example", h.URL)
	case u.Hostname() == "":
		bad("http.url", "%q names no host that students can reach", h.URL)
	case h.Certificate == "" && u.Scheme == "http" && !loopback(host):
		bad("http.certificate", "is missing, and browsers use cameras over plain HTTP on loopback only; "+
			"name a certificate, or set http.url to the https address of the proxy that ends TLS")
	}
	for _, p := range h.Proxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			bad("http.proxies", "%q is not a prefix such as 10.0.0.0/8", p)
		}
	}
	for _, o := range slices.Concat(h.Origins, h.Frames) {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Path != "" {
			bad("http.origins", "%q is not a web origin such as https://lms.example", o)
		}
	}
}

func (p Place) validate(key string, bad func(key, format string, args ...any)) {
	if p.Latitude < -90 || p.Latitude > 90 {
		bad(key+".latitude", "%v is not between -90 and 90", p.Latitude)
	}
	if p.Longitude < -180 || p.Longitude > 180 {
		bad(key+".longitude", "%v is not between -180 and 180", p.Longitude)
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
