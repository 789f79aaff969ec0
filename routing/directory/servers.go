package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	tendEvery = time.Second
	// wantedVoters is up to how many nodes are made voters by themselves: five bear the loss of two, and more only make
	// every decision slower. Others that take part stand by with a copy.
	wantedVoters = 5
	// closeBehind is how many entries of the log a node may be behind the leader and still count as keeping up: half a
	// second of the busiest directory.
	closeBehind = 250
)

// Server is a node that takes part in the directory, as the leader sees it.
type Server struct {
	ID     string `json:"id"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader,omitempty"`
	// Gone is since when the leader has not heard of it; zero if it has. A new leader begins to count anew.
	Gone time.Time `json:"gone,omitzero"`
	// Problem says in words what is wrong with it; "" for nothing.
	Problem string `json:"problem,omitempty"`
}

// care is the leader's knowledge of those who take part.
type care struct {
	mu sync.Mutex
	// Guarded by mu.
	list    []servant
	waiting string // what a directory that is not founded waits for
	disk    string // why the folder could not be written last; "" if it could
}

// servant is what the leader knows of one node.
type servant struct {
	id     string
	member bool // it is in Raft's configuration
	voter  bool
	// well is since when it has answered and kept up, gone since when it neither answers nor is heard of; zero for not so.
	well, gone time.Time
	// foreign is the name of another directory that it belongs to.
	foreign string
}

// rules are what plan keeps to.
type rules struct {
	self           string
	keep           int // fewer voters than these are never left by plan
	stable, forget time.Duration
}

// step is one change of those who take part; the zero step is none.
type step struct {
	do string // "join", "promote" or "remove"
	id string
}

// plan decides the next change. There is only ever one, and the next when it is made: a majority before and after every
// change has a node in common.
func plan(now time.Time, list []servant, r rules) step {
	voters, well, here := 0, 0, 0
	for _, s := range list {
		if s.member && s.voter {
			voters++
			if s.id == r.self || !s.well.IsZero() {
				well++
			}
			if s.gone.IsZero() {
				here++
			}
		}
	}
	majority := voters/2 + 1
	for _, s := range list {
		gone := s.member && s.id != r.self && !s.gone.IsZero() && now.Sub(s.gone) >= r.forget
		if gone && (!s.voter || well >= majority && voters > r.keep) {
			return step{"remove", s.id}
		}
	}
	for _, s := range list {
		if s.member && !s.voter && !s.well.IsZero() && now.Sub(s.well) >= r.stable && here < wantedVoters && voters < maxVoters {
			return step{"promote", s.id}
		}
	}
	for _, s := range list {
		if !s.member && !s.well.IsZero() && s.foreign == "" {
			return step{"join", s.id}
		}
	}
	return step{}
}

// tend looks after those who take part, while this node leads, until ctx is done.
func (d *Directory) tend(ctx context.Context, r *raft.Raft) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.State() != raft.Leader {
			d.care.forget()
			continue
		}
		if err := d.tendOnce(ctx, r); err != nil && ctx.Err() == nil {
			d.log.Info("a change of those who take part in the directory failed and is tried again", "err", err)
		}
	}
}

func (d *Directory) tendOnce(ctx context.Context, r *raft.Raft) error {
	if d.view.directory() == "" {
		if err := d.giveName(r); err != nil {
			return err
		}
	}
	future := r.GetConfiguration()
	if err := future.Error(); err != nil {
		return err
	}
	var list []servant
	var ids []string
	for _, s := range future.Configuration().Servers {
		ids = append(ids, string(s.ID))
		list = append(list, servant{id: string(s.ID), member: true, voter: s.Suffrage == raft.Voter})
	}
	for _, p := range d.peers() {
		if p.Serves && p.Alive && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
			list = append(list, servant{id: p.ID})
		}
	}
	last := r.LastIndex()
	stands := d.meet(ctx, ids, &meeting{})
	now := time.Now()
	for i := range list {
		s := &list[i]
		a := stands[s.id]
		switch {
		case s.id == d.cfg.Node:
		case a == nil && !d.alive(s.id):
			s.gone = now
		case a == nil:
		case a.Directory != "" && a.Directory != d.view.directory(), !s.member && a.Founded && a.Directory == "":
			s.foreign = cmp.Or(a.Directory, "without a name")
		case !s.member, a.Last+closeBehind >= last && a.Term == r.CurrentTerm():
			s.well = now
		}
	}
	d.care.observe(list)
	next := plan(now, list, rules{self: d.cfg.Node, keep: max(d.cfg.Expect, len(d.cfg.Voters)), stable: d.cfg.Stable, forget: d.cfg.Forget})
	return d.change(r, next, future.Index())
}

// change makes a change of those who take part, if they are still those of an index.
func (d *Directory) change(r *raft.Raft, next step, index uint64) error {
	id, addr := raft.ServerID(next.id), raft.ServerAddress(next.id)
	var f raft.Future
	switch next.do {
	case "join":
		f = r.AddNonvoter(id, addr, index, d.cfg.CallTimeout)
	case "promote":
		f = r.AddVoter(id, addr, index, d.cfg.CallTimeout)
	case "remove":
		f = r.RemoveServer(id, index, d.cfg.CallTimeout)
	default:
		return nil
	}
	if err := f.Error(); err != nil {
		return fmt.Errorf("%s node %s: %w", next.do, next.id, err)
	}
	d.metrics.changes.WithLabelValues(next.do).Inc()
	d.log.Info("those who take part in the directory have changed", "change", next.do, "node", next.id)
	return nil
}

// remove does without a node that is gone, at an operator's word.
func (d *Directory) remove(ctx context.Context, r *raft.Raft, id string) (reply, error) {
	future := r.GetConfiguration()
	if err := future.Error(); err != nil {
		return reply{}, fmt.Errorf("%w: %w", errNotLeader, err)
	}
	servers := future.Configuration().Servers
	i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == id })
	var ids []string
	voters := 0
	for _, s := range servers {
		if ids = append(ids, string(s.ID)); s.Suffrage == raft.Voter {
			voters++
		}
	}
	if i < 0 {
		return reply{Refused: fmt.Sprintf("node %s does not take part in it", id)}, nil
	}
	stands := d.meet(ctx, ids, &meeting{})
	if id == d.cfg.Node || stands[id] != nil || d.alive(id) {
		return reply{Refused: fmt.Sprintf("node %s is alive and would be let in again; stop it first", id)}, nil
	}
	well := 1
	for _, s := range servers {
		if s.Suffrage == raft.Voter && stands[string(s.ID)] != nil {
			well++
		}
	}
	if servers[i].Suffrage == raft.Voter && well < voters/2+1 {
		return reply{Refused: fmt.Sprintf("only %d of %d voters answer, and a majority has to agree to do without %s", well, voters, id)}, nil
	}
	if err := d.change(r, step{"remove", id}, future.Index()); err != nil {
		return reply{}, fmt.Errorf("%w: %w", errNotLeader, err)
	}
	return reply{}, nil
}

// Remove does without a node that takes part and is gone for good, so that it counts for no majority any more. A node that
// is alive or that cannot be missed is refused with ErrRefused.
func (d *Directory) Remove(ctx context.Context, node string) error {
	if _, err := d.consult(ctx, &request{Remove: node}); err != nil {
		return fmt.Errorf("remove node %.80s: %w", node, err)
	}
	return nil
}

// Servers are the nodes that take part, as the leader sees them. Without a leader they are those that this node knows of,
// and led is false.
func (d *Directory) Servers(ctx context.Context) (list []Server, led bool) {
	if r, err := d.consult(ctx, &request{Servers: true}); err == nil {
		return r.Servers, true
	}
	for _, id := range d.voters() {
		list = append(list, Server{ID: id, Voter: true})
	}
	return list, false
}

// giveName names a directory that has no name.
func (d *Directory) giveName(r *raft.Raft) error {
	if err := r.Barrier(d.cfg.CallTimeout).Error(); err != nil {
		return err // it may have one that is not applied yet
	}
	if d.view.directory() != "" {
		return nil
	}
	name := newName()
	_, err := d.carryOut(r, &command{Op: opFound, Client: "name-" + name, Seq: 1, Directory: name})
	return err
}

// observe takes what was seen now, and keeps since when.
func (c *care) observe(list []servant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		s := &list[i]
		before := slices.IndexFunc(c.list, func(b servant) bool { return b.id == s.id && b.member == s.member })
		if before < 0 {
			continue
		}
		if b := c.list[before]; !s.well.IsZero() && !b.well.IsZero() {
			s.well = b.well
		}
		if b := c.list[before]; !s.gone.IsZero() && !b.gone.IsZero() {
			s.gone = b.gone
		}
	}
	c.list = list
}

func (c *care) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

func (c *care) waitFor(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = what
}

func (c *care) wrote(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disk = ""; err != nil {
		c.disk = err.Error()
	}
}

func (c *care) diskProblem() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disk
}

func (c *care) waits() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// servers tells an operator who takes part.
func (c *care) servers(self string, r *raft.Raft) []Server {
	c.mu.Lock()
	known := slices.Clone(c.list)
	c.mu.Unlock()
	var list []Server
	future := r.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	for _, s := range future.Configuration().Servers {
		server := Server{ID: string(s.ID), Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == self}
		if i := slices.IndexFunc(known, func(k servant) bool { return k.id == server.ID && k.member }); i >= 0 && !server.Leader {
			switch k := known[i]; {
			case k.foreign != "":
				server.Problem = foreignText
			case !k.gone.IsZero():
				server.Gone = k.gone
				server.Problem = fmt.Sprintf("the directory misses it since %s; if it does not come back: lyceum nodes remove %s",
					k.gone.UTC().Format(time.RFC3339), k.id)
			case k.well.IsZero():
				server.Problem = "it does not keep up with the directory"
			}
		}
		list = append(list, server)
	}
	for _, k := range known {
		if !k.member && k.foreign != "" {
			list = append(list, Server{ID: k.id, Problem: foreignText})
		}
	}
	return list
}

const foreignText = "its data folder has the rooms of another directory; take a snapshot of them if they matter, then stop " +
	"it, move the folder away and start it"
