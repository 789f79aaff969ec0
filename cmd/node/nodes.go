package node

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lyceum/mesh/gossip"
	"lyceum/routing/directory"
)

// clockLimit is how far the clocks of two nodes may differ before it is worth a word: tickets live for some ten seconds.
const clockLimit = 2 * time.Second

// About is what a node says of itself to the others, for operators.
type About struct {
	Now time.Time `json:"now"`
	// Expires is the end of the node's certificate.
	Expires time.Time `json:"expires"`
	// Disk says why the node cannot write its folder; "" if it can.
	Disk string `json:"disk,omitempty"`
	// Keys are the ids of the gossip keys that the node understands, the one that it uses first.
	Keys []string `json:"keys,omitempty"`
}

func (n *Node) about() About {
	return About{Now: time.Now(), Expires: n.identity.Expires(), Disk: n.rooms.Status().Disk, Keys: n.gossipKeys()}
}

// heard is what a node said of itself and how far its clock is ahead of this one's.
type heard struct {
	About
	ahead time.Duration
}

// askAbout asks the living nodes of themselves. Those that do not answer, or are too old to, are not among the answers.
func (n *Node) askAbout(ctx context.Context, members []gossip.Member) map[string]heard {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	all := map[string]heard{n.cfg.Node: {About: n.about()}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range members {
		if m.ID == n.cfg.Node || !m.Alive {
			continue
		}
		wg.Go(func() {
			var a About
			asked := time.Now()
			if n.peers.get(ctx, m.ID, "/about", &a) != nil {
				return
			}
			ahead := a.Now.Sub(asked.Add(time.Since(asked) / 2))
			mu.Lock()
			defer mu.Unlock()
			all[m.ID] = heard{a, ahead}
		})
	}
	wg.Wait()
	return all
}

// nodes tells an operator of all nodes, and what is wrong with them.
func (n *Node) nodes(ctx context.Context) NodeList {
	list := NodeList{Nodes: []NodeInfo{}}
	members := n.gossip.Members()
	var abouts map[string]heard
	var servers []directory.Server
	var led bool
	var wg sync.WaitGroup
	wg.Go(func() { abouts = n.askAbout(ctx, members) })
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, peerTimeout)
		defer cancel()
		servers, led = n.rooms.Servers(ctx)
	})
	wg.Wait()
	leader := n.rooms.Leader()
	voters, here := 0, 0
	for _, m := range members {
		info := NodeInfo{
			ID: m.ID, Region: m.Region, Latitude: m.Place.Lat, Longitude: m.Place.Lon, Roles: strings.Split(m.Roles.String(), ","),
			URL: m.URL, Link: m.Link, Version: m.Version,
			Alive: m.Alive, Draining: m.Draining, Leader: m.ID == leader, Self: m.ID == n.cfg.Node,
			Sessions: m.Load.Sessions, Seats: m.Load.Limit,
		}
		if rtt, ok := n.gossip.RTT(m.ID); ok {
			info.RTT = float64(rtt.Microseconds()) / 1000
		}
		var wrong []string
		switch {
		case !m.Alive && m.Leaving:
			wrong = append(wrong, "it has left")
		case !m.Alive:
			wrong = append(wrong, "it does not answer; it crashed or cannot be reached")
		case older(m.Version, n.deps.Version):
			wrong = append(wrong, fmt.Sprintf("its version %s is older than that of %s", m.Version, n.cfg.Node))
		case m.Version != n.deps.Version:
			wrong = append(wrong, "it runs another version than "+n.cfg.Node)
		}
		if a, ok := abouts[m.ID]; ok {
			wrong = append(wrong, a.problems(n.cfg.Node)...)
		}
		if i := slices.IndexFunc(servers, func(s directory.Server) bool { return s.ID == m.ID }); i >= 0 {
			info.Votes = servers[i].Voter
			if servers[i].Problem != "" {
				wrong = append(wrong, servers[i].Problem)
			}
		}
		info.Problem = strings.Join(wrong, "; ")
		list.Nodes = append(list.Nodes, info)
	}
	for _, s := range servers {
		i := slices.IndexFunc(list.Nodes, func(i NodeInfo) bool { return i.ID == s.ID })
		if s.Voter {
			voters++
			if i >= 0 && list.Nodes[i].Alive {
				here++
			}
		}
		if i < 0 { // gossip has forgotten it, and the directory waits for it
			problem := s.Problem
			if problem == "" {
				problem = "it votes in the directory and nobody hears of it"
			}
			list.Nodes = append(list.Nodes, NodeInfo{ID: s.ID, Votes: s.Voter, Problem: problem})
		}
	}
	st := n.rooms.Status()
	switch {
	case st.Waiting != "":
		list.Problems = append(list.Problems, "the directory is not founded yet: "+st.Waiting)
	case !led && voters > 0 && here <= voters/2:
		list.Problems = append(list.Problems, fmt.Sprintf("the directory has no majority: %d of its %d voters are alive; known rooms go "+
			"on, none can be opened or claimed until one more of %s comes back", here, voters, strings.Join(st.Voters, ", ")))
	case !led:
		list.Problems = append(list.Problems, "the directory has no leader that "+n.cfg.Node+" can reach; known rooms go on, none can be "+
			"opened or claimed")
	}
	return list
}

// problems are what is wrong with a node by its own account, as another one sees it.
func (a heard) problems(seenFrom string) (wrong []string) {
	if ahead := a.ahead; ahead.Abs() > clockLimit {
		word := "ahead of"
		if ahead < 0 {
			word = "behind"
		}
		wrong = append(wrong, fmt.Sprintf("its clock is %v %s that of %s", ahead.Abs().Round(100*time.Millisecond), word, seenFrom))
	}
	if a.Disk != "" {
		wrong = append(wrong, fmt.Sprintf("its rooms are not on disk: %.200s", a.Disk))
	}
	switch left := a.Expires.Sub(a.Now); {
	case left <= 0:
		wrong = append(wrong, "its certificate ended on "+a.Expires.Format(time.DateOnly))
	case left < soon:
		wrong = append(wrong, fmt.Sprintf("its certificate ends on %s; issue a new one", a.Expires.Format(time.DateOnly)))
	}
	return wrong
}

// removeNode makes the directory do without a node that is gone.
func (n *Node) removeNode(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), applyTime)
	defer cancel()
	id := r.PathValue("node")
	if err := n.rooms.Remove(ctx, id); err != nil {
		return nil, err // it says what was to be done
	}
	return map[string]string{"removed": id}, nil
}

// older tells whether a version of the form v1.2.3 is before another one.
func older(a, b string) bool {
	x, okX := numbers(a)
	y, okY := numbers(b)
	return okX && okY && slices.Compare(x, y) < 0
}

func numbers(version string) (list []int, ok bool) {
	version, ok = strings.CutPrefix(version, "v")
	if !ok {
		return nil, false
	}
	version, _, _ = strings.Cut(version, "-")
	for part := range strings.SplitSeq(version, ".") {
		i, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		list = append(list, i)
	}
	return list, true
}
