package directory

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// machine is what all voters run alike: commands in, rooms out. It knows no clock, no chance and no network.
type machine struct {
	rooms    map[string]Room
	sessions map[string]session
	index    uint64 // of the last command applied
	// directory is the name that the first leader gave it; "" while it has none.
	directory string
	keys      Keyring
}

// session is the last command of a client, to be recognised when it comes again.
type session struct {
	Client string `json:"client"`
	Seq    uint64 `json:"seq"`
	Result result `json:"result"`
}

// maxSessions is how many clients are remembered. A process is one client, and repeats its commands within seconds.
const maxSessions = 4096

func newMachine() *machine {
	return &machine{rooms: map[string]Room{}, sessions: map[string]session{}}
}

// apply carries out the command at an index of the log.
func (m *machine) apply(index uint64, c *command) result {
	m.index = index
	last, known := m.sessions[c.Client]
	switch {
	case known && c.Seq == last.Seq:
		return last.Result
	case known && c.Seq < last.Seq:
		return result{Code: codeSuperseded, Index: index}
	}
	r := m.decide(index, c)
	r.Index = index
	if !known && len(m.sessions) >= maxSessions {
		m.forgetOldest()
	}
	m.sessions[c.Client] = session{Client: c.Client, Seq: c.Seq, Result: r}
	return r
}

func (m *machine) decide(index uint64, c *command) result {
	if c.Op == opFound {
		// The last one counts, so that nodes that once ran a version without names come to the same one.
		m.directory = c.Directory
		return result{}
	}
	if c.Op == opKeys {
		if c.Previous != m.keys.Version {
			return result{Code: codeStale}
		}
		m.keys = *c.Keys
		m.keys.Version = index
		return result{}
	}
	if c.Op == opRestore {
		return m.bringBack(c.Rooms)
	}
	room, exists := m.rooms[c.Room]
	if c.Op == opOpen {
		switch {
		case exists:
			return result{Code: codeExists, Room: room}
		case len(m.rooms) >= maxRooms:
			return result{Code: codeFull}
		}
		room = Room{Name: c.Room, Title: c.Title, Opened: c.Opened, Home: c.Node}
		if c.Node != "" {
			room.Epoch = index
		}
		m.rooms[c.Room] = room
		return result{Room: room}
	}
	if !exists {
		return result{Code: codeUnknown}
	}
	switch c.Op {
	case opClaim:
		if c.Previous != room.Epoch {
			return result{Code: codeStale, Room: room}
		}
		// The log of a directory that was restored from a backup may be shorter than the one that gave the epoch.
		room.Home, room.Epoch = c.Node, max(index, room.Epoch+1)
	case opRelease:
		if c.Previous != room.Epoch {
			return result{Code: codeStale, Room: room}
		}
		room.Home = ""
	case opClose:
		delete(m.rooms, c.Room)
		return result{Room: room}
	default:
		return result{Code: codeInvalid}
	}
	m.rooms[c.Room] = room
	return result{Room: room}
}

// bringBack opens the rooms that are not there. Those that are know better than a backup who their home is.
func (m *machine) bringBack(rooms []Room) (r result) {
	for _, room := range rooms {
		if _, exists := m.rooms[room.Name]; exists {
			continue
		}
		if len(m.rooms) >= maxRooms {
			r.Code = codeFull
			return r
		}
		m.rooms[room.Name] = room
		r.Restored++
	}
	return r
}

// forgetOldest drops the client that has been silent longest.
func (m *machine) forgetOldest() {
	oldest := session{}
	for _, s := range m.sessions {
		if oldest.Client == "" || s.Result.Index < oldest.Result.Index {
			oldest = s
		}
	}
	delete(m.sessions, oldest.Client)
}

// image is the state of a machine, as snapshots and the cache have it.
type image struct {
	Version  int       `json:"version"`
	Index    uint64    `json:"index"`
	Rooms    []Room    `json:"rooms"`
	Sessions []session `json:"sessions,omitempty"`
	// Directory is the name of the directory; "" for none.
	Directory string  `json:"directory,omitempty"`
	Keys      Keyring `json:"keys,omitzero"`
	// Log is, in the cache, how far this node's own log had been applied; 0 on a node that does not take part.
	Log uint64 `json:"log,omitempty"`
}

const imageVersion = 1

// maxImage is more than a full directory takes.
const maxImage = maxRooms*roomBytes + maxSessions*2*roomBytes

// image gives the state in an order that is the same at every voter.
func (m *machine) image() image {
	return image{Version: imageVersion, Index: m.index, Directory: m.directory, Keys: m.keys, Rooms: sorted(m.rooms), Sessions: slices.SortedFunc(
		maps.Values(m.sessions), func(x, y session) int { return strings.Compare(x.Client, y.Client) })}
}

func sorted(rooms map[string]Room) []Room {
	return slices.SortedFunc(maps.Values(rooms), func(x, y Room) int { return strings.Compare(x.Name, y.Name) })
}

func (m *machine) restore(i image) {
	*m = machine{rooms: byName(i.Rooms), sessions: make(map[string]session, len(i.Sessions)), index: i.Index, directory: i.Directory, keys: i.Keys}
	for _, s := range i.Sessions {
		m.sessions[s.Client] = s
	}
}

func byName(list []Room) map[string]Room {
	rooms := make(map[string]Room, len(list))
	for _, r := range list {
		rooms[r.Name] = r
	}
	return rooms
}

func readImage(r io.Reader) (i image, err error) {
	if err := json.NewDecoder(io.LimitReader(r, maxImage)).Decode(&i); err != nil {
		return image{}, fmt.Errorf("read the state of the directory: %w", err)
	}
	if i.Version != imageVersion {
		return image{}, fmt.Errorf("the state of the directory is of version %d and this program reads version %d", i.Version, imageVersion)
	}
	return i, nil
}
