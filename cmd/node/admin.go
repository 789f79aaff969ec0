package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lyceum/edge"
	"lyceum/geo"
	"lyceum/mesh/link"
	"lyceum/mesh/relay"
	"lyceum/origin"
	"lyceum/routing/directory"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

const (
	maxNewRoom = 4 << 10
	maxTitle   = 200
	// applyTime bounds a change of the directory: an election takes 3 s.
	applyTime = 10 * time.Second
)

// Status is the answer to GET /status: this node alone, in detail.
type Status struct {
	Node      string              `json:"node"`
	Cluster   string              `json:"cluster"`
	Region    string              `json:"region"`
	Version   string              `json:"version"`
	Uptime    float64             `json:"uptime_s"`
	Directory directory.Status    `json:"directory"`
	Geo       geo.Info            `json:"geo"`
	Links     []link.LinkStatus   `json:"links"`
	Tracks    []relay.TrackStatus `json:"tracks"`
	Teachers  []origin.RoomStatus `json:"teachers"`
	Students  []edge.RoomStatus   `json:"students"`
}

func (n *Node) adminHandler() http.Handler {
	n.countDrain()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", answerJSON(func(*http.Request) (any, error) { return n.ready() }))
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.deps.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", answerJSON(func(*http.Request) (any, error) { return n.status(), nil }))
	mux.HandleFunc("GET /v1/nodes", answerJSON(func(r *http.Request) (any, error) { return n.nodes(r.Context()), nil }))
	mux.HandleFunc("DELETE /v1/nodes/{node}", answerJSON(n.removeNode))
	for _, method := range []string{"GET", "POST", "DELETE"} {
		mux.HandleFunc(method+" /v1/drain", answerJSON(n.drainHere))
		mux.HandleFunc(method+" /v1/nodes/{node}/drain", answerJSON(n.drainThere))
	}
	mux.HandleFunc("GET /v1/directory/snapshot", n.snapshot)
	mux.HandleFunc("POST /v1/directory/restore", answerJSON(n.restore))
	mux.HandleFunc("GET /v1/keys", answerJSON(func(r *http.Request) (any, error) { return n.keyList(r.Context()), nil }))
	mux.HandleFunc("POST /v1/keys", answerJSON(n.addKey))
	mux.HandleFunc("POST /v1/keys/{key}/use", answerJSON(n.useKey))
	mux.HandleFunc("DELETE /v1/keys/{key}", answerJSON(n.removeKey))
	mux.HandleFunc("GET /v1/routes", answerJSON(func(*http.Request) (any, error) { return n.routes(), nil }))
	mux.HandleFunc("GET /v1/rooms", answerJSON(n.roomList))
	mux.HandleFunc("POST /v1/rooms", answerJSON(n.openRoom))
	mux.HandleFunc("GET /v1/rooms/{room}", answerJSON(func(r *http.Request) (any, error) { return n.roomInfo(r.Context(), r.PathValue("room")) }))
	mux.HandleFunc("DELETE /v1/rooms/{room}", answerJSON(n.closeRoom))
	mux.HandleFunc("GET /v1/rooms/{room}/tree", answerJSON(func(r *http.Request) (any, error) { return n.tree(r.Context(), r.PathValue("room")) }))
	// The listener asks for no password, and a page that an operator looks at can reach it through their browser.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		wish.WriteError(w, &wish.Error{Status: http.StatusForbidden, Detail: "a page of another origin may not change anything here"})
	}))
	return guard.Handler(mux)
}

// adminError gives the errors of the directory their status.
func adminError(err error) error {
	status := map[error]int{
		directory.ErrUnknownRoom: http.StatusNotFound, directory.ErrExists: http.StatusConflict,
		directory.ErrRefused: http.StatusConflict, directory.ErrStaleKeys: http.StatusConflict,
		directory.ErrFull: http.StatusInsufficientStorage, ticket.ErrRoomName: http.StatusBadRequest,
	}
	for is, code := range status {
		if errors.Is(err, is) {
			return &wish.Error{Status: code, Detail: err.Error()}
		}
	}
	if _, ok := errors.AsType[*wish.Error](err); ok {
		return err
	}
	return &wish.Error{Status: http.StatusServiceUnavailable, Detail: err.Error(), RetryAfter: 2 * time.Second}
}

// ready says whether this node can do its work: it wants people, and it knows rooms or has a directory to ask. A directory
// that loses its leader later does not keep people out of the rooms that are known.
func (n *Node) ready() (any, error) {
	if n.drain.on() {
		return nil, errDraining
	}
	st := n.rooms.Status()
	if !st.Ready && st.Rooms == 0 {
		return nil, errors.New("the directory of rooms has no leader yet")
	}
	return map[string]bool{"ready": true}, nil
}

func (n *Node) status() Status {
	return Status{
		Node: n.cfg.Node, Cluster: n.cfg.Cluster, Region: n.cfg.Region, Version: n.deps.Version,
		Uptime: time.Since(n.boot).Seconds(), Directory: n.rooms.Status(), Geo: n.locator.Database(),
		Links: n.links.Status(), Tracks: n.hub.Status(), Teachers: n.origin.Status(), Students: n.edge.Status(),
	}
}

func roomInfo(r directory.Room) RoomInfo {
	return RoomInfo{Name: r.Name, Title: r.Title, Home: r.Home, Epoch: r.Epoch, Opened: r.Opened}
}

// roomList lists the rooms that this node knows; with ?consistent, no fewer than the leader.
func (n *Node) roomList(r *http.Request) (any, error) {
	if r.URL.Query().Has("consistent") {
		ctx, cancel := context.WithTimeout(r.Context(), applyTime)
		defer cancel()
		if err := n.rooms.Sync(ctx); err != nil {
			return nil, err // it says what was to be done
		}
	}
	list := RoomList{Rooms: []RoomInfo{}}
	for _, r := range n.rooms.Rooms() {
		list.Rooms = append(list.Rooms, roomInfo(r))
	}
	return list, nil
}

func (n *Node) openRoom(r *http.Request) (any, error) {
	var in NewRoom
	if err := json.NewDecoder(io.LimitReader(r.Body, maxNewRoom)).Decode(&in); err != nil || len(in.Title) > maxTitle {
		return nil, &wish.Error{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf(`the body must be like {"name":"algebra","title":"Linear algebra"}, the title at most %d bytes`, maxTitle),
		}
	}
	if err := ticket.ValidRoom(in.Name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), applyTime)
	defer cancel()
	room, err := n.rooms.Open(ctx, directory.Room{Name: in.Name, Title: in.Title})
	if err != nil {
		return nil, err // it says what was to be done
	}
	return roomInfo(room), nil
}

func (n *Node) closeRoom(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), applyTime)
	defer cancel()
	name := r.PathValue("room")
	if err := n.rooms.Close(ctx, name); err != nil {
		return nil, err // it says what was to be done
	}
	return map[string]string{"closed": name}, nil
}

func (n *Node) roomInfo(ctx context.Context, name string) (any, error) {
	room, ok := n.rooms.Room(name)
	if !ok {
		return nil, fmt.Errorf("room %s: %w", name, directory.ErrUnknownRoom)
	}
	info := roomInfo(room)
	info.Live, info.Students = n.look(ctx, name)
	return info, nil
}

// look tells whether a room is live and how many students it has.
func (n *Node) look(ctx context.Context, name string) (live bool, students int) {
	t, err := n.tree(ctx, name)
	if err != nil {
		return false, 0
	}
	return t.Live, t.Students
}

// tree asks every living node what it knows of a room. What it found is kept for a second.
func (n *Node) tree(ctx context.Context, name string) (Tree, error) {
	room, ok := n.rooms.Room(name)
	if !ok {
		return Tree{}, fmt.Errorf("room %s: %w", name, directory.ErrUnknownRoom)
	}
	return n.counts.get(name, func() Tree { return n.askTree(context.WithoutCancel(ctx), room) }), nil
}

func (n *Node) askTree(ctx context.Context, room directory.Room) Tree {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	t := Tree{Room: room.Name, Home: room.Home, Epoch: room.Epoch, Nodes: []TreeNode{}}
	members := n.gossip.Members()
	answers, errs := make([]LocalRoom, len(members)), make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		switch {
		case m.ID == n.cfg.Node:
			answers[i] = n.localRoom(room.Name)
		case m.Alive:
			wg.Go(func() { answers[i], errs[i] = n.peers.room(ctx, m.ID, room.Name) })
		}
	}
	wg.Wait()
	losses := map[[2]string]float64{} // by parent and child
	for _, a := range answers {
		for child, loss := range a.Losses {
			losses[[2]string{a.Node, child}] = loss
		}
	}
	for i, a := range answers {
		if errs[i] != nil {
			t.Problems = append(t.Problems, errs[i].Error())
		}
		if len(a.Tracks) == 0 && a.Students == 0 {
			continue
		}
		if a.Node != room.Home && a.standsBy() {
			t.StandingBy = append(t.StandingBy, a.Node)
			continue
		}
		t.Students += a.Students
		node := TreeNode{ID: a.Node, Region: members[i].Region, Tier: a.tier(), Students: a.Students, Tracks: a.Tracks, Delays: a.Delays}
		if a.Node == room.Home {
			t.Live = a.Live()
		} else {
			node.Parent, node.Standby, node.Link, node.Why = a.Parent, a.Standby, a.Link, a.Why
			if node.Link != nil {
				node.Link.Loss = losses[[2]string{a.Parent, a.Node}]
			}
		}
		t.Nodes = append(t.Nodes, node)
	}
	return t
}

// localRoom is what this node knows of a room by itself.
func (n *Node) localRoom(name string) LocalRoom {
	r := LocalRoom{Node: n.cfg.Node, Tracks: []relay.TrackStatus{}}
	for _, t := range n.hub.Status() {
		if t.Room == name {
			r.Tracks = append(r.Tracks, t)
		}
	}
	for _, s := range n.edge.Status() {
		if s.Room == name {
			r.Students, r.Delays = s.Students, s.Delays
		}
	}
	links := n.links.Status()
	r.Parent, r.Standby, r.Link = parent(links, name)
	r.Losses = losses(links, name)
	if p, err := n.table.Plan(name); err == nil && r.Parent != "" {
		r.Why = p.Why
		if p.Parent != r.Parent {
			r.Why = fmt.Sprintf("%s feeds it for now; its plan says: %s", r.Parent, p.Why)
		}
	}
	return r
}

// losses are the shares of packets that are lost on the way to the children that get a room from here.
func losses(links []link.LinkStatus, room string) map[string]float64 {
	list := map[string]float64{}
	for _, l := range links {
		fed := slices.ContainsFunc(l.Subscriptions, func(s link.SubscriptionStatus) bool { return s.Room == room && !s.Standby })
		if l.Direction == "down" && fed {
			list[l.Peer] = l.Loss
		}
	}
	return list
}

// parent is the node from which most of a room's tracks come, the one that stands by, and the link to the first. They
// come from two nodes only while the way changes.
func parent(links []link.LinkStatus, room string) (node, standby string, info *LinkInfo) {
	most := 0
	for _, l := range links {
		tracks, bytes := 0, uint64(0)
		for _, s := range l.Subscriptions {
			switch {
			case l.Direction != "up" || s.Room != room:
			case s.Standby:
				standby = l.Peer
			default:
				tracks, bytes = tracks+1, bytes+s.Bytes
			}
		}
		if tracks > most {
			node, most = l.Peer, tracks
			info = &LinkInfo{Age: l.Age, RTT: l.RTT, Load: l.Load, Stripes: l.Stripes, Bytes: bytes}
		}
	}
	return node, standby, info
}

// peerHandler answers other nodes.
func (n *Node) peerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rooms/{room}", answerJSON(func(r *http.Request) (any, error) {
		return n.localRoom(r.PathValue("room")), nil
	}))
	for _, method := range []string{"GET", "POST", "DELETE"} {
		mux.HandleFunc(method+" /drain", answerJSON(n.drainHere))
	}
	mux.HandleFunc("GET /about", answerJSON(func(*http.Request) (any, error) { return n.about(), nil }))
	return mux
}
