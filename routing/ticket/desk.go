package ticket

import (
	"container/heap"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DeskConfig sets up a Desk.
type DeskConfig struct {
	Leeway     time.Duration         // by how much clocks may differ; 0 = that of the keys
	MaxUsed    int                   // how many used tickets are remembered, each for at most MaxLifetime and twice the leeway; 0 = 65536
	Registerer prometheus.Registerer // nil = metrics are not exported
}

// Validate says in the operator's words what is wrong with the configuration.
func (c *DeskConfig) Validate() error {
	switch {
	case c.Leeway < 0 || c.Leeway > 5*time.Minute:
		return fmt.Errorf("the leeway of tickets is %s, it can be from 0 s (the default) to 5 m", c.Leeway)
	case c.MaxUsed < 0:
		return errors.New("the number of remembered tickets cannot be negative")
	}
	return nil
}

// Desk is where a node redeems the tickets that were made for it, each once.
//
// When it remembers as many used tickets as it may, it refuses further ones with ErrBusy until some expire.
type Desk struct {
	// Set by NewDesk, never changed.
	keys    *Keys
	node    string
	leeway  time.Duration
	maxUsed int
	metrics *metrics

	mu sync.Mutex
	// Guarded by mu.
	used      map[string]bool // by ticket id
	order     byDeadline      // the same tickets, the first to be forgotten on top
	forgotten time.Time       // the latest deadline that was forgotten: what is older can no longer be told apart
}

// NewDesk makes the desk of a node. A MaxUsed below zero counts as zero.
func NewDesk(keys *Keys, node string, cfg DeskConfig) *Desk {
	d := &Desk{
		keys: keys, node: node, leeway: cfg.Leeway, maxUsed: cfg.MaxUsed,
		used: make(map[string]bool), metrics: newMetrics(cfg.Registerer),
	}
	if d.leeway <= 0 {
		d.leeway = keys.leeway
	}
	if d.maxUsed <= 0 {
		d.maxUsed = 65536
	}
	return d
}

// Redeem returns what a ticket allows, if it was made for this node, this room and this action, its time is now, and it
// was not redeemed before. A ticket that is refused for its room or its action stays unused.
func (d *Desk) Redeem(raw, room string, a Action, now time.Time) (Grant, error) {
	g, err := d.redeem(raw, room, a, now)
	d.metrics.count(err)
	return g, err
}

func (d *Desk) redeem(raw, room string, a Action, now time.Time) (Grant, error) {
	c, err := d.keys.check(typeTicket, raw, now, d.leeway)
	if err != nil {
		return Grant{}, err
	}
	t := Ticket{
		Subject: c.Subject, Name: c.Name, Room: c.Room, Node: c.Node, Role: c.Role, Action: c.Action,
		Expires: c.ExpiresAt.Time, ID: c.ID,
	}
	if err := t.validate(); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case t.Expires.After(now.Add(MaxLifetime + d.leeway)):
		return Grant{}, fmt.Errorf("%w: a ticket lives at most %s", ErrMalformed, MaxLifetime)
	case t.Node != d.node:
		return Grant{}, ErrWrongNode
	case t.Room != room:
		return Grant{}, ErrWrongRoom
	case t.Action != a:
		return Grant{}, fmt.Errorf("%w: the ticket was made to %s", ErrRole, t.Action)
	}
	if err := d.punch(t.ID, t.Expires.Add(d.leeway), now); err != nil {
		return Grant{}, err
	}
	return Grant{Subject: t.Subject, Name: t.Name, Room: t.Room, Role: t.Role, Action: t.Action, Ticketed: true}, nil
}

// punch marks a ticket as used until its deadline, after which it is refused as expired anyway.
func (d *Desk) punch(id string, deadline, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.order) > 0 && !d.order[0].deadline.After(now) {
		u := heap.Pop(&d.order).(use)
		delete(d.used, u.id)
		d.forgotten = u.deadline
	}
	defer func() { d.metrics.remembered.Set(float64(len(d.order))) }()
	switch {
	case d.used[id]:
		return ErrUsed
	case !deadline.After(d.forgotten):
		// Only when the clock went back, or another caller's moment came later: it may be one of the forgotten.
		return ErrExpired
	case len(d.order) >= d.maxUsed:
		return ErrBusy
	}
	d.used[id] = true
	heap.Push(&d.order, use{id: id, deadline: deadline})
	return nil
}

// use is one used ticket.
type use struct {
	id       string
	deadline time.Time // from here on the ticket is expired, leeway included
}

// byDeadline is a heap of used tickets, for container/heap.
type byDeadline []use

func (h byDeadline) Len() int           { return len(h) }
func (h byDeadline) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h byDeadline) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byDeadline) Push(x any)        { *h = append(*h, x.(use)) }

func (h *byDeadline) Pop() any {
	last := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = use{}
	*h = (*h)[:len(*h)-1]
	return last
}
