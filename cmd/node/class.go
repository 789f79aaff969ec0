package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lyceum/edge/whep"
	"lyceum/mesh/gossip"
	"lyceum/origin/whip"
	"lyceum/routing"
	"lyceum/routing/directory"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// handOver is how long a teacher or a student may take to follow a redirect.
const handOver = 30 * time.Second

// lookAgain is how often sessions are compared with rooms that have not changed.
const lookAgain = 5 * time.Second

// newWHIP joins WHIP to the directory: a teacher publishes at the room's home, and a room without one gets it here.
func (n *Node) newWHIP() (*wish.Handler, error) {
	return whip.New(whip.Config{
		Origin:     n.origin,
		Claim:      n.claim,
		Base:       n.cfg.HTTP.URL,
		Authorize:  n.authorize(ticket.Publish),
		Redeem:     n.redeem(ticket.Publish),
		Redirect:   n.redirectTeacher,
		Client:     n.client,
		Origins:    n.cfg.HTTP.Origins,
		Logger:     n.log,
		Registerer: n.deps.Registry,
	})
}

// newWHEP joins WHEP to routing: a student watches here unless another node is clearly better.
func (n *Node) newWHEP() (*wish.Handler, error) {
	return whep.New(n.edge, wish.Config{
		Base:       n.cfg.HTTP.URL,
		Authorize:  n.authorize(ticket.Watch),
		Redeem:     n.redeem(ticket.Watch),
		Redirect:   n.redirectStudent,
		Client:     n.client,
		Origins:    n.cfg.HTTP.Origins,
		Logger:     n.log,
		Registerer: n.deps.Registry,
	})
}

func (n *Node) authorize(a ticket.Action) func(*http.Request, string, string) (ticket.Grant, error) {
	return func(_ *http.Request, room, bearer string) (ticket.Grant, error) {
		g, err := n.keys.Authorize(bearer, room, a, time.Now())
		if err != nil {
			return g, err
		}
		_, err = n.room(room)
		return g, err
	}
}

func (n *Node) redeem(a ticket.Action) func(room, raw string) (ticket.Grant, error) {
	door := map[ticket.Action]gossip.Roles{ticket.Publish: gossip.Origin, ticket.Watch: gossip.Edge}[a]
	return func(room, raw string) (ticket.Grant, error) {
		if !n.roles(false).Has(door) { // whoever comes with a token is sent on; a ticket of old is not worth that
			return ticket.Grant{}, &wish.Error{
				Status: http.StatusForbidden, Detail: "node " + n.cfg.Node + " does not do that any more; join the room again",
			}
		}
		if n.drain.on() { // whoever gave the ticket had not heard of it; whoever comes with a token is sent on
			return ticket.Grant{}, &wish.Error{
				Status: http.StatusServiceUnavailable, Detail: errDraining.Error() + "; join the room again", RetryAfter: time.Second,
			}
		}
		g, err := n.desk.Redeem(raw, room, a, time.Now())
		if err != nil {
			return g, err
		}
		_, err = n.room(room)
		return g, err
	}
}

// room finds a room that is open. A node that cannot know, because it has just begun and hears of no leader, asks for
// patience: a client takes "not found" as final.
func (n *Node) room(name string) (directory.Room, error) {
	r, ok := n.rooms.Room(name)
	switch {
	case ok:
		return r, nil
	case n.rooms.Leader() == "":
		return r, &wish.Error{
			Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second,
			Detail: "this node does not know room " + name + ", and the directory of rooms does not answer; try again",
		}
	}
	return r, &wish.Error{Status: http.StatusNotFound, Detail: "room " + name + " is not open; ask whoever runs the class to open it"}
}

// redirectTeacher sends a teacher on when the room's home is, or should be, another node.
func (n *Node) redirectTeacher(_ *http.Request, room string, g ticket.Grant) (string, error) {
	r, _ := n.rooms.Room(room)
	home, err := routing.Home(r, n.cfg.Node, n.gossip.Members())
	switch {
	case err != nil:
		return "", &wish.Error{Status: http.StatusServiceUnavailable, Detail: err.Error(), RetryAfter: 2 * time.Second}
	case home.ID == n.cfg.Node:
		return "", nil
	}
	return n.sendOn(home.URL+"/whip/"+room, home.ID, g)
}

// claim makes this node the room's home unless it is. When another node is faster the teacher is asked to try again, and
// is then sent there; so is one whose ticket is from a node that had not heard of the room's new home.
func (n *Node) claim(ctx context.Context, room string) error {
	r, err := n.room(room)
	if err != nil || r.Home == n.cfg.Node {
		return err
	}
	moved := &wish.Error{
		Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Detail: "another node became the home of room " + room + " just now; try again",
	}
	if home, err := routing.Home(r, n.cfg.Node, n.gossip.Members()); err == nil && home.ID != n.cfg.Node {
		return moved
	}
	r, err = n.rooms.Claim(ctx, room, n.cfg.Node, r.Epoch)
	switch {
	case errors.Is(err, directory.ErrStale):
		return moved
	case err != nil:
		n.log.Warn("room not claimed", "room", room, "err", err)
		return &wish.Error{
			Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second,
			Detail: "the directory of rooms does not answer, so that no node can become the home of room " + room + " now",
		}
	}
	n.log.Info("room claimed", "room", room, "epoch", r.Epoch)
	return nil
}

// redirectStudent sends a student on when another node is clearly better or this one must not serve.
func (n *Node) redirectStudent(rq *http.Request, room string, g ticket.Grant) (string, error) {
	as, send, err := n.assigner.Better(routing.Request{
		Place: n.locator.Locate(n.client(rq)), Asker: n.cfg.Node,
	}, n.gossip.Members(), time.Now())
	switch {
	case err != nil:
		return "", &wish.Error{Status: http.StatusServiceUnavailable, Detail: err.Error(), RetryAfter: 2 * time.Second}
	case !send:
		return "", nil
	}
	return n.sendOn(as.Edge.URL+"/whep/"+room, as.Edge.ID, g)
}

// sendOn makes the URL at another node, with a ticket in its path: browsers drop the Authorization header when a
// redirect crosses origins.
func (n *Node) sendOn(base, node string, g ticket.Grant) (string, error) {
	raw, err := n.keys.SignTicket(g.Ticket(node, time.Now().Add(handOver)))
	if err != nil {
		return "", fmt.Errorf("send on to %s: %w", node, err)
	}
	return base + "/ticket/" + raw, nil
}

// followRooms ends what this node does for rooms that are closed or have another home now. It looks again after a while,
// because a session may come into being just after its room has changed.
func (n *Node) followRooms(ctx context.Context) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		changed := n.rooms.Changed()
		for _, room := range n.origin.Rooms() {
			r, ok := n.rooms.Room(room)
			switch {
			case !ok:
				n.origin.CloseRoom(room, errors.New("the room was closed"))
			case r.Home != n.cfg.Node:
				n.log.Warn("room has another home", "room", room, "home", r.Home, "epoch", r.Epoch)
				n.origin.CloseRoom(room, errors.New("another node is the room's home now"))
			}
		}
		for _, room := range n.edge.Rooms() {
			if _, ok := n.rooms.Room(room); !ok {
				n.edge.CloseRoom(room, errors.New("the room was closed"))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again.C:
		}
	}
}
