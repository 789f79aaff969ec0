package gossip

import (
	"strings"

	"lyceum/geo"
)

// Roles are the doors that a node opens. Every node contains all parts; its roles say which of them others may use.
type Roles uint8

// The roles of a node.
const (
	Origin Roles = 1 << iota // takes publishers
	Edge                     // serves subscribers
	Hub                      // feeds other nodes of its region
	Voter                    // votes in the directory
)

var roleNames = []struct {
	role Roles
	name string
}{{Origin, "origin"}, {Edge, "edge"}, {Hub, "hub"}, {Voter, "voter"}}

// Has tells whether all of the given roles are among r.
func (r Roles) Has(roles Roles) bool { return r&roles == roles }

// String lists the roles, separated by commas.
func (r Roles) String() string {
	var names []string
	for _, n := range roleNames {
		if r.Has(n.role) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// MarshalText makes roles readable in JSON.
func (r Roles) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Load is how busy a node is.
type Load struct {
	// Sessions is how many publishers and subscribers the node serves over WebRTC.
	Sessions int `json:"sessions"`
	// Limit is how many it is willing to serve; 0 means that it has set itself no limit.
	Limit int `json:"limit"`
}

// Member is a node as the others see it.
type Member struct {
	ID      string    `json:"id"`
	Cluster string    `json:"cluster"`
	Region  string    `json:"region"`
	Version string    `json:"version"`
	Place   geo.Point `json:"place"`
	Roles   Roles     `json:"roles"`
	// URL is the public HTTP base, which students and teachers use.
	URL string `json:"url"`
	// Link is the host:port at which the node's QUIC listens.
	Link string `json:"link"`
	// Gossip is the host:port of the node's gossip. It is observed, not told: New ignores it.
	Gossip string `json:"gossip"`
	// Draining means that the node wants no new sessions or children.
	Draining bool `json:"draining"`
	// Leaving means that the node has announced its end; with Alive false it left and did not crash.
	Leaving bool `json:"leaving"`
	// Boot is when the node's process started, in milliseconds of Unix time.
	Boot uint64 `json:"boot"`
	Load Load   `json:"load"`
	// Alive is false for a node that crashed or left. It is remembered for some minutes.
	Alive bool `json:"alive"`
}
