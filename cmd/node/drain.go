package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/link"
	"lyceum/routing"
	"lyceum/routing/wish"
)

const (
	// drainDefault is the deadline of a drain that names none.
	drainDefault = 10 * time.Minute
	// drainLeast and drainMost bound a deadline: a session needs some seconds to move.
	drainLeast, drainMost = time.Second, 24 * time.Hour
	// graceMost is how long a student's old session goes on at most beside the one that it was asked to open.
	graceMost = 10 * time.Second
	maxDrain  = 1 << 10
	safePoll  = 50 * time.Millisecond
)

// ErrAtOnce is the cause to cancel the context of Run with if the node is to end without letting its people go elsewhere
// first.
var ErrAtOnce = errors.New("the node is to end at once")

// errDraining is why a node takes nobody.
var errDraining = errors.New("this node is being drained and takes nobody")

// countDrain tells Prometheus whether the node is emptied.
func (n *Node) countDrain() {
	n.deps.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lyceum_node_draining", Help: "1 while the node is drained and takes nobody, else 0.",
	}, func() float64 {
		if n.drain.on() {
			return 1
		}
		return 0
	}))
}

// drainer is whether the node is being emptied, and until when.
type drainer struct {
	mu sync.Mutex
	// Guarded by mu.
	begun, until time.Time // zero while the node is not emptied
	changed      chan struct{}
}

// set begins to empty the node within a time, or ends that with 0.
func (d *drainer) set(within time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun, d.until = time.Time{}, time.Time{}
	if within > 0 {
		d.begun = time.Now()
		d.until = d.begun.Add(within)
	}
	if d.changed != nil {
		close(d.changed)
	}
	d.changed = make(chan struct{})
}

// get returns since when and until when the node is emptied, and what is closed at the next change.
func (d *drainer) get() (begun, until time.Time, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.begun, d.until, d.changed
}

func (d *drainer) on() bool {
	begun, _, _ := d.get()
	return !begun.IsZero()
}

// followDrain empties the node when it is asked to and takes people again when that is over, until ctx is done.
func (n *Node) followDrain(ctx context.Context) error {
	for ctx.Err() == nil {
		begun, until, changed := n.drain.get()
		draining := !begun.IsZero()
		n.gossip.SetDraining(draining)
		if !draining {
			n.links.Undrain()
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		n.log.Info("node is drained", "until", until)
		n.links.Drain()
		emptying, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { n.sendStudentsAway(emptying, begun, until) })
		wg.Go(func() { n.sendTeachersAway(emptying, begun, until) })
		wg.Go(func() { n.yield(emptying) })
		select {
		case <-ctx.Done():
		case <-changed:
		}
		stop()
		wg.Wait()
	}
	return nil
}

// sendStudentsAway moves the students over the first two thirds of the time.
func (n *Node) sendStudentsAway(ctx context.Context, begun, until time.Time) {
	within := until.Sub(begun)
	grace := min(graceMost, within/5)
	crowd{
		staying: n.edge.Staying,
		send:    func() bool { return n.edge.SendAway(grace) },
		able: func() bool {
			able, _ := routing.Elsewhere(n.cfg.Node, n.gossip.Members())
			return able
		},
	}.empty(ctx, begun.Add(within*2/3))
}

// sendTeachersAway lets the teachers go last: with each, a whole class changes its home.
func (n *Node) sendTeachersAway(ctx context.Context, begun, until time.Time) {
	within := until.Sub(begun)
	for now := begun; n.edge.Sessions() > 0 && now.Before(begun.Add(within*2/3)); {
		now = time.Now().Add(waveTime / 10)
		if !restUntil(ctx, now) {
			return
		}
	}
	crowd{
		staying: func() int { return len(n.origin.Rooms()) },
		send: func() bool {
			rooms := n.origin.Rooms()
			if len(rooms) > 0 {
				n.origin.CloseRoom(rooms[0], errDraining)
			}
			return len(rooms) > 0
		},
		able: func() bool {
			_, able := routing.Elsewhere(n.cfg.Node, n.gossip.Members())
			return able
		},
	}.empty(ctx, begun.Add(within*5/6))
}

// yield gives up the lead of the directory, again if the others choose this node anew.
func (n *Node) yield(ctx context.Context) {
	for {
		if err := n.rooms.Yield(); err != nil {
			n.log.Warn("node still leads", "err", err)
		}
		if !restUntil(ctx, time.Now().Add(waveTime)) {
			return
		}
	}
}

// depart lets the people of a node that is to end go elsewhere first, as far as that is possible in its grace, or until ctx is
// done.
func (n *Node) depart(ctx context.Context) {
	students, teachers := routing.Elsewhere(n.cfg.Node, n.gossip.Members())
	if n.cfg.Grace < 0 || !students && !teachers || n.drainInfo().empty() {
		return
	}
	if _, until, _ := n.drain.get(); !until.IsZero() && !time.Now().Before(until) {
		return // they had their time
	}
	n.drain.set(time.Duration(n.cfg.Grace) * time.Second)
	_, until, _ := n.drain.get()
	for time.Now().Before(until) && !n.drainInfo().Safe {
		if !restUntil(ctx, time.Now().Add(safePoll)) {
			return
		}
	}
}

// DrainRequest asks a node to let everybody go elsewhere.
type DrainRequest struct {
	// Deadline is when all are to have gone, such as "10m"; "" means ten minutes.
	Deadline string `json:"deadline,omitempty"`
}

// DrainInfo is how far a node is emptied.
type DrainInfo struct {
	Node     string `json:"node"`
	Draining bool   `json:"draining"`
	// Begun and Until are when the drain began and when all are to have gone; zero without a drain.
	Begun time.Time `json:"begun,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Students watch here.
	Students int `json:"students"`
	// Teachers are the rooms that are published here.
	Teachers []string `json:"teachers"`
	// Children are the nodes that get tracks of a class from here.
	Children []string `json:"children"`
	// Homes is how many rooms have their home here. One that nobody publishes in gets another with its next teacher.
	Homes int `json:"homes"`
	// Leader tells that the node leads the directory, which another voter could.
	Leader bool `json:"leader"`
	// Problem says in words what keeps people from going elsewhere; "" for nothing.
	Problem string `json:"problem,omitempty"`
	// Safe means that the node may be stopped: nobody would miss it.
	Safe bool `json:"safe"`
}

// String says who is still here.
func (i DrainInfo) String() string {
	var left []string
	add := func(count int, one, many string) {
		switch count {
		case 0:
		case 1:
			left = append(left, "1 "+one)
		default:
			left = append(left, fmt.Sprintf("%d %s", count, many))
		}
	}
	add(i.Students, "student", "students")
	add(len(i.Teachers), "teacher", "teachers")
	add(len(i.Children), "node that gets tracks", "nodes that get tracks")
	if i.Leader {
		left = append(left, "the lead of the directory")
	}
	text := strings.Join(left, ", ")
	if text == "" {
		text = "nobody"
	}
	if i.Problem != "" {
		text += "; " + i.Problem
	}
	return text
}

// empty reports whether nobody needs the node.
func (i DrainInfo) empty() bool {
	return i.Students == 0 && len(i.Teachers) == 0 && len(i.Children) == 0 && !i.Leader
}

func (n *Node) drainInfo() DrainInfo {
	begun, until, _ := n.drain.get()
	i := DrainInfo{
		Node: n.cfg.Node, Draining: !begun.IsZero(), Begun: begun, Until: until,
		Students: n.edge.Sessions(), Teachers: n.origin.Rooms(), Children: fed(n.links.Status()),
		Leader: n.rooms.Leader() == n.cfg.Node && len(n.rooms.Status().Voters) > 1,
	}
	for _, r := range n.rooms.Rooms() {
		if r.Home == n.cfg.Node {
			i.Homes++
		}
	}
	students, teachers := routing.Elsewhere(n.cfg.Node, n.gossip.Members())
	switch {
	case !i.Draining:
	case i.Students > 0 && !students:
		i.Problem = "no other node can take students now"
	case len(i.Teachers) > 0 && !teachers:
		i.Problem = "no other node can receive teachers now"
	}
	i.Safe = i.Draining && i.empty()
	return i
}

// fed names the children that get packets from here, in the order of their names.
func fed(links []link.LinkStatus) []string {
	list := []string{}
	for _, l := range links {
		if l.Direction == "down" && slices.ContainsFunc(l.Subscriptions, func(s link.SubscriptionStatus) bool {
			return s.Live && !s.Standby && s.Layers != 0
		}) && !slices.Contains(list, l.Peer) {
			list = append(list, l.Peer)
		}
	}
	slices.Sort(list)
	return list
}

// drainHere answers for this node: POST begins, DELETE ends, GET tells.
func (n *Node) drainHere(r *http.Request) (any, error) {
	switch r.Method {
	case http.MethodPost:
		within, err := deadline(r.Body)
		if err != nil {
			return nil, err
		}
		n.drain.set(within)
	case http.MethodDelete:
		n.log.Info("node is drained no more")
		n.drain.set(0)
	}
	return n.drainInfo(), nil
}

// drainThere passes a request on to the node that is meant.
func (n *Node) drainThere(r *http.Request) (any, error) {
	id := r.PathValue("node")
	if id == n.cfg.Node {
		return n.drainHere(r)
	}
	if m, ok := n.gossip.Member(id); !ok || !m.Alive {
		return nil, &wish.Error{Status: http.StatusNotFound, Detail: fmt.Sprintf("%s knows no living node %.63q; lyceum nodes lists them", n.cfg.Node, id)}
	}
	var in any
	if r.Method == http.MethodPost {
		within, err := deadline(r.Body)
		if err != nil {
			return nil, err
		}
		in = DrainRequest{Deadline: within.String()}
	}
	var i DrainInfo
	err := n.peers.call(r.Context(), r.Method, id, "/drain", in, &i)
	return i, err
}

// deadline reads a DrainRequest.
func deadline(body io.Reader) (time.Duration, error) {
	var rq DrainRequest
	err := json.NewDecoder(io.LimitReader(body, maxDrain)).Decode(&rq)
	within := drainDefault
	if err == nil && rq.Deadline != "" {
		within, err = time.ParseDuration(rq.Deadline)
	}
	if err != nil && !errors.Is(err, io.EOF) || within < drainLeast || within > drainMost {
		return 0, &wish.Error{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf(`the body must be empty or like {"deadline":"10m"}, between %v and %v`, drainLeast, drainMost),
		}
	}
	return within, nil
}

// DrainPath is where an admin listener is asked about the drain of a node.
func DrainPath(node string) string { return "/v1/nodes/" + url.PathEscape(node) + "/drain" }
