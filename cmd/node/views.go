package node

import (
	"fmt"
	"slices"
	"time"

	"lyceum/mesh/relay"
)

// The shapes of the admin listener's JSON.

// NewRoom asks for a room.
type NewRoom struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
}

// RoomInfo is a room.
type RoomInfo struct {
	Name   string    `json:"name"`
	Title  string    `json:"title,omitempty"`
	Home   string    `json:"home,omitempty"`
	Epoch  uint64    `json:"epoch"`
	Opened time.Time `json:"opened"`
	// Live and Students are filled in when one room is asked for.
	Live     bool `json:"live"`
	Students int  `json:"students"`
}

// RoomList is the answer to GET /v1/rooms.
type RoomList struct {
	Rooms []RoomInfo `json:"rooms"`
}

// Has reports whether a room is in the list.
func (l RoomList) Has(name string) bool {
	return slices.ContainsFunc(l.Rooms, func(r RoomInfo) bool { return r.Name == name })
}

// NodeInfo is a node as one of the nodes sees it.
type NodeInfo struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	// Latitude and Longitude are where it stands, in degrees.
	Latitude  float64  `json:"latitude"`
	Longitude float64  `json:"longitude"`
	Roles     []string `json:"roles"`
	URL       string   `json:"url"`
	Link      string   `json:"link"`
	Version   string   `json:"version"`
	Alive     bool     `json:"alive"`
	Draining  bool     `json:"draining"`
	Leader    bool     `json:"leader"`
	Self      bool     `json:"self"`
	Sessions  int      `json:"sessions"`
	Seats     int      `json:"seats"`
	// Votes means that it votes in the directory, as the leader has it; a node with the role may be on its way to that.
	Votes bool `json:"votes"`
	// RTT is the round trip from the asked node by gossip, in milliseconds; 0 is not measured.
	RTT float64 `json:"rtt_ms,omitempty"`
	// Problem says in words what is wrong with the node, if anything is.
	Problem string `json:"problem,omitempty"`
}

// State is the node's state in a word.
func (n NodeInfo) State() string {
	switch {
	case !n.Alive:
		return "gone"
	case n.Draining:
		return "draining"
	case n.Leader:
		return "leader"
	}
	return "up"
}

// NodeList is the answer to GET /v1/nodes.
type NodeList struct {
	Nodes []NodeInfo `json:"nodes"`
	// Problems say in words what is wrong with the cluster.
	Problems []string `json:"problems,omitempty"`
}

// LocalRoom is what one node knows of a room by itself.
type LocalRoom struct {
	Node string `json:"node"`
	// Parent is the node it gets the tracks from, as its links have it; "" for none.
	Parent string `json:"parent,omitempty"`
	// Standby is the node that takes the parent's place when it fails; "" for none.
	Standby string `json:"standby,omitempty"`
	// Link is the one to the parent, nil for none.
	Link *LinkInfo `json:"link,omitempty"`
	// Why says in a sentence what decided for the parent.
	Why string `json:"why,omitempty"`
	// Losses are the shares of packets that were lost on the way to children, by child, as far as they are known.
	Losses   map[string]float64  `json:"losses,omitempty"`
	Students int                 `json:"students"`
	Tracks   []relay.TrackStatus `json:"tracks"`
	// Delays are how old the frames are that leave for students here, by track, in milliseconds from their arrival at the
	// node where the track was born.
	Delays map[string]float64 `json:"delay_ms,omitempty"`
}

// LinkInfo is the link to a parent, with what came over it for one room.
type LinkInfo struct {
	Age     float64 `json:"age_s"`
	RTT     float64 `json:"rtt_ms"`
	Loss    float64 `json:"loss"` // of what the parent sent in the last one or two minutes; 0 while not known
	Load    float64 `json:"load"` // of the parent: 1 is all that it can serve
	Stripes int     `json:"stripes"`
	Bytes   uint64  `json:"bytes"` // of the room, since its tracks are subscribed
}

// String is the link in a few words.
func (l *LinkInfo) String() string {
	return fmt.Sprintf("%.0f ms, %.1f %% lost, parent %.0f %% busy, %d stripes, %.1f MB, %s old",
		l.RTT, l.Loss*100, l.Load*100, l.Stripes, float64(l.Bytes)/1e6, time.Duration(l.Age*float64(time.Second)).Round(time.Second))
}

// standsBy reports whether the node holds tracks that nobody wants packets of.
func (r LocalRoom) standsBy() bool {
	wanted := func(l relay.LayerStatus) bool { return l.Wanted }
	return len(r.Tracks) > 0 && r.Students == 0 && !slices.ContainsFunc(r.Tracks, func(t relay.TrackStatus) bool {
		return slices.ContainsFunc(t.Layers, wanted)
	})
}

// tier is the number of hops that the tracks took to the node.
func (r LocalRoom) tier() (hops int) {
	for _, t := range r.Tracks {
		hops = max(hops, t.Hops)
	}
	return hops
}

// Live reports whether somebody publishes one of the tracks.
func (r LocalRoom) Live() bool {
	return slices.ContainsFunc(r.Tracks, func(t relay.TrackStatus) bool { return t.Live })
}

// Tree is how a room's tracks reach its students.
type Tree struct {
	Room     string     `json:"room"`
	Home     string     `json:"home,omitempty"`
	Epoch    uint64     `json:"epoch"`
	Live     bool       `json:"live"`
	Students int        `json:"students"`
	Nodes    []TreeNode `json:"nodes"`
	// StandingBy are nodes that no media comes to and that are ready to take a parent's place.
	StandingBy []string `json:"standing_by,omitempty"`
	// Problems name the nodes that did not answer.
	Problems []string `json:"problems,omitempty"`
}

// TreeNode is one node that carries a room.
type TreeNode struct {
	ID string `json:"id"`
	// Region is where the node is; "" if it is not known any more.
	Region string `json:"region,omitempty"`
	// Tier is the number of hops to the home, as the tracks came.
	Tier int `json:"tier"`
	// Parent is the node it gets the tracks from; it is empty at the home, and elsewhere while there is none. Standby takes
	// its place when it fails, Link is how it is reached, and Why says in a sentence what decided.
	Parent   string              `json:"parent,omitempty"`
	Standby  string              `json:"standby,omitempty"`
	Link     *LinkInfo           `json:"link,omitempty"`
	Why      string              `json:"why,omitempty"`
	Students int                 `json:"students"`
	Tracks   []relay.TrackStatus `json:"tracks"`
	Delays   map[string]float64  `json:"delay_ms,omitempty"` // as in LocalRoom
}

// Carries describes the node's tracks, one by one.
func (n TreeNode) Carries() []string {
	out := make([]string, 0, len(n.Tracks))
	for _, t := range n.Tracks {
		s := t.Name + " waiting"
		if t.Live {
			s = t.Name + " live"
			wanted := 0
			for _, l := range t.Layers {
				if l.Wanted {
					wanted++
				}
			}
			switch {
			case wanted == 0 && n.Parent != "":
				s = t.Name + " standing by"
			case len(t.Layers) > 1:
				s += fmt.Sprintf(" (%d of %d layers wanted)", wanted, len(t.Layers))
			}
			if ms, ok := n.Delays[t.Name]; ok {
				s += fmt.Sprintf(" %.0f ms old", ms)
			}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return []string{"carries nothing"}
	}
	return out
}
