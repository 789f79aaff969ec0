package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"lyceum/geo"
	"lyceum/mesh/gossip"
	"lyceum/routing"
	"lyceum/routing/directory"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// maxBody bounds the body of a join: a list of nodes to avoid.
const maxBody = 4 << 10

// maxAvoid bounds the nodes that a student may name as failed.
const maxAvoid = 16

// ticketLife is how long a student may take from the answer to the POST at the edge. It is more than the time a phone
// needs for an offer and less than anybody needs to misuse it.
const ticketLife = 30 * time.Second

// Room is what a page is told of a room.
type Room struct {
	Room     string `json:"room"`
	Title    string `json:"title,omitempty"`
	Home     string `json:"home,omitempty"`
	Live     bool   `json:"live"`
	Students int    `json:"students"`
}

// Node is a node that a student may watch at.
type Node struct {
	ID     string `json:"id"`
	Region string `json:"region"`
	URL    string `json:"url"`
}

// Join is the answer to a join.
type Join struct {
	Edge      Node   `json:"edge"`
	Fallbacks []Node `json:"fallbacks"`
	// Ticket opens WHEP at the edge, once, within half a minute; it is in the path of WHEP already.
	Ticket string `json:"ticket"`
	WHEP   string `json:"whep"`
	Why    string `json:"why"`
}

// Config configures a Handler. All but Origins are required.
type Config struct {
	// Node is this node's id.
	Node string
	// Keys check tokens and sign tickets.
	Keys *ticket.Keys
	// Room finds a room in the directory. Its error, directory.ErrUnknownRoom or a *wish.Error, is the answer.
	Room func(name string) (directory.Room, error)
	// Members lists the nodes.
	Members func() []gossip.Member
	// Locate finds the place of an address, Client the address of a request.
	Locate func(netip.Addr) geo.Place
	Client func(*http.Request) netip.Addr
	// Assigner chooses edges.
	Assigner *routing.Assigner
	// Look tells whether a room is live and how many students it has.
	Look func(ctx context.Context, room string) (live bool, students int)
	// Origins are the web origins whose pages may use this node. Empty means any.
	Origins []string
}

// Handler serves /v1/rooms/{room} and /v1/rooms/{room}/join.
type Handler struct {
	// Set by New, never changed.
	cfg Config
	mux *http.ServeMux
}

// New makes a handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, mux: http.NewServeMux()}
	h.mux.HandleFunc("OPTIONS /v1/", h.options)
	h.mux.HandleFunc("GET /v1/rooms/{room}", h.answer(h.room))
	h.mux.HandleFunc("POST /v1/rooms/{room}/join", h.answer(h.join))
	h.mux.HandleFunc("/v1/", h.answer(func(*http.Request) (any, error) {
		return nil, &wish.Error{Status: http.StatusNotFound, Detail: "there is nothing at this path; use /v1/rooms/{room}/join"}
	}))
	return h
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wish.AllowOrigin(w, r, h.cfg.Origins)
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) options(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Methods", "OPTIONS, GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// answer makes a handler of a function that returns what is to be sent as JSON.
func (h *Handler) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			wish.WriteError(w, problem(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(v) // the client may be gone
	}
}

// problem gives the errors of routing their status; wish knows those of tickets.
func problem(err error) error {
	e := &wish.Error{Detail: err.Error()}
	switch {
	case errors.Is(err, directory.ErrUnknownRoom):
		e.Status = http.StatusNotFound
	case errors.Is(err, routing.ErrNoEdge):
		e.Status, e.RetryAfter = http.StatusServiceUnavailable, 2*time.Second
	default:
		return err
	}
	return e
}

// enter checks the right to watch a room that exists. Who asks comes first: a stranger does not learn which rooms
// there are.
func (h *Handler) enter(r *http.Request) (directory.Room, ticket.Grant, error) {
	name := r.PathValue("room")
	if err := ticket.ValidRoom(name); err != nil {
		return directory.Room{}, ticket.Grant{}, err
	}
	grant, err := h.cfg.Keys.Authorize(wish.Bearer(r), name, ticket.Watch, time.Now())
	if err != nil {
		return directory.Room{}, ticket.Grant{}, err
	}
	room, err := h.cfg.Room(name)
	if err != nil {
		return room, grant, fmt.Errorf("room %s: %w", name, err)
	}
	return room, grant, nil
}

func (h *Handler) room(r *http.Request) (any, error) {
	room, _, err := h.enter(r)
	if err != nil {
		return nil, err
	}
	live, students := h.cfg.Look(r.Context(), room.Name)
	return Room{Room: room.Name, Title: room.Title, Home: room.Home, Live: live, Students: students}, nil
}

func (h *Handler) join(r *http.Request) (any, error) {
	room, grant, err := h.enter(r)
	if err != nil {
		return nil, err
	}
	avoid, err := avoided(r)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	as, err := h.cfg.Assigner.Assign(routing.Request{
		Place: h.cfg.Locate(h.cfg.Client(r)), Asker: h.cfg.Node, Avoid: avoid,
	}, h.cfg.Members(), now)
	if err != nil {
		return nil, err
	}
	raw, err := h.cfg.Keys.SignTicket(grant.Ticket(as.Edge.ID, now.Add(ticketLife)))
	if err != nil {
		return nil, fmt.Errorf("sign a ticket: %w", err)
	}
	j := Join{
		Edge: node(as.Edge), Fallbacks: []Node{}, Ticket: raw, Why: as.Why,
		WHEP: as.Edge.URL + "/whep/" + room.Name + "/ticket/" + raw,
	}
	for _, m := range as.Fallbacks {
		j.Fallbacks = append(j.Fallbacks, node(m))
	}
	return j, nil
}

// avoided reads which nodes just failed the student. An empty body avoids none.
func avoided(r *http.Request) ([]string, error) {
	var body struct {
		Avoid []string `json:"avoid"`
	}
	err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body)
	if err != nil && !errors.Is(err, io.EOF) || len(body.Avoid) > maxAvoid {
		return nil, &wish.Error{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf(`the body must be empty or like {"avoid":["node"]} with at most %d nodes`, maxAvoid),
		}
	}
	return body.Avoid, nil
}

func node(m gossip.Member) Node { return Node{ID: m.ID, Region: m.Region, URL: m.URL} }
