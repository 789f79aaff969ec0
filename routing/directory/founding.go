package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A directory is founded once. The nodes that found it must name the same set, each promises to the others that it takes
// part in no other founding for a while, and nobody who is heard of may belong to a directory already. A founder that has
// the promises within foundWithin writes the set into its log; the others do the same, and as it is the same set it does
// not matter who is first.
const (
	promiseFor  = 30 * time.Second
	foundWithin = 10 * time.Second // much shorter, so that no promise has ended when it is used
	meetEvery   = 500 * time.Millisecond
	foundFile   = "founding.json" // the promise, for a node that restarts meanwhile
)

// meeting is what a node asks another one.
type meeting struct {
	// Set is whom the asking node wants to found a directory with; empty only asks how the other stands.
	Set    []string `json:"set,omitempty"`
	Expect int      `json:"expect,omitempty"`
}

// stand is how a node stands.
type stand struct {
	// Founded means that the node has a log.
	Founded bool `json:"founded,omitempty"`
	// Directory is the name of its directory, "" while it has not heard of it.
	Directory string `json:"directory,omitempty"`
	// Promised means that it founds a directory with the asked set and with nobody else.
	Promised bool `json:"promised,omitempty"`
	// Set is whom it would found a directory with, and Expect how many it waits for.
	Set    []string `json:"set,omitempty"`
	Expect int      `json:"expect,omitempty"`
	// Last is the end of its log, in Term.
	Last uint64 `json:"last"`
	Term uint64 `json:"term"`
}

// promise is the founding that this node takes part in.
type promise struct {
	mu sync.Mutex
	// Guarded by mu.
	set   []string
	until time.Time
	read  bool // what an earlier process promised is known
}

// give promises a set, unless another is promised. A promise is on disk before it is given.
func (p *promise) give(dir string, set []string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := filepath.Join(dir, foundFile)
	if !p.read {
		b, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return fmt.Errorf("read what was promised before: %w", err)
		default:
			// When it was given is not told by a clock that may have been set since, so it counts from now.
			if err := json.Unmarshal(b, &p.set); err != nil {
				return fmt.Errorf("read what was promised before in %s: %w", path, err)
			}
			p.until = now.Add(promiseFor)
		}
		p.read = true
	}
	if !slices.Equal(p.set, set) {
		if now.Before(p.until) {
			return fmt.Errorf("it has promised to found a directory with %s", strings.Join(p.set, ", "))
		}
		b, err := json.Marshal(set)
		if err != nil {
			return fmt.Errorf("write a promise: %w", err)
		}
		if err := writeFile(path, b); err != nil {
			return err
		}
	}
	p.set, p.until = slices.Clone(set), now.Add(promiseFor)
	return nil
}

// found waits until this node belongs to a directory: because it founds one with others, or because a leader has sent it
// its log.
func (d *Directory) found(ctx context.Context, r *raft.Raft) {
	said := ""
	for ctx.Err() == nil && r.LastIndex() == 0 {
		began := time.Now()
		set, why := d.foundWith(ctx, began)
		if why == "" && time.Since(began) < foundWithin {
			var c raft.Configuration
			for _, id := range set {
				c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
			}
			err := r.BootstrapCluster(c).Error()
			switch {
			case err == nil:
				d.log.Info("directory begins", "voters", set)
				return
			case errors.Is(err, raft.ErrCantBootstrap):
				return // a leader was faster
			}
			why = fmt.Sprintf("the founding cannot be written: %v", err)
		}
		if d.care.waitFor(why); why != said {
			d.log.Info("directory is not founded yet", "why", why)
			said = why
		}
		select {
		case <-ctx.Done():
		case <-time.After(meetEvery):
		}
	}
}

// foundWith gives the set that may found a directory now, or says why none may.
func (d *Directory) foundWith(ctx context.Context, now time.Time) (set []string, why string) {
	set, why = d.candidates()
	if why != "" {
		return nil, why
	}
	if err := d.promise.give(d.cfg.Dir, set, now); err != nil {
		return nil, err.Error()
	}
	asked := slices.Clone(set)
	for _, p := range d.peers() {
		if p.Alive && p.Serves && !slices.Contains(asked, p.ID) {
			asked = append(asked, p.ID)
		}
	}
	stands := d.meet(ctx, asked, &meeting{Set: set, Expect: d.cfg.Expect})
	with := 1
	var silent, unlike []string
	for _, id := range asked {
		s := stands[id]
		switch {
		case id == d.cfg.Node:
		case s == nil:
			// Those of a fixed list need not all be there, but whoever is heard of may belong to a directory.
			if !d.cfg.founds() || d.alive(id) {
				silent = append(silent, id)
			}
		case s.Founded:
			return nil, fmt.Sprintf("%s belongs to a directory already; its leader has to let this node in", id)
		case slices.Contains(set, id) && s.Promised:
			with++
		case slices.Contains(set, id):
			unlike = append(unlike, fmt.Sprintf("%s, which expects %d nodes and would begin with %s",
				id, s.Expect, strings.Join(s.Set, ", ")))
		}
	}
	switch {
	case len(silent) > 0:
		return nil, "no answer from " + strings.Join(silent, ", ")
	case d.cfg.founds() && with > len(set)/2, with == len(set):
		return set, ""
	case len(unlike) > 0:
		return nil, fmt.Sprintf("this node expects %d nodes and would begin with %s; not so %s", d.cfg.Expect,
			strings.Join(set, ", "), strings.Join(unlike, "; "))
	default:
		return nil, fmt.Sprintf("%d of the %d voters %s have been heard of", with, len(set), strings.Join(set, ", "))
	}
}

// candidates are those whom this node would found a directory with, in the order of their ids, or why there are none.
func (d *Directory) candidates() (set []string, why string) {
	switch {
	case d.cfg.founds():
		return sortedStrings(d.cfg.Voters), ""
	case len(d.cfg.Voters) > 0:
		return nil, fmt.Sprintf("the directory is founded by %s", strings.Join(d.cfg.Voters, ", "))
	}
	set = []string{d.cfg.Node}
	for _, p := range d.peers() {
		if p.Alive && p.Serves && p.ID != d.cfg.Node {
			set = append(set, p.ID)
		}
	}
	slices.Sort(set)
	if len(set) < d.cfg.Expect {
		return nil, fmt.Sprintf("%d of %d expected nodes have been heard of: %s", len(set), d.cfg.Expect, strings.Join(set, ", "))
	}
	set = set[:d.cfg.Expect]
	if !slices.Contains(set, d.cfg.Node) {
		return nil, fmt.Sprintf("the directory is founded by %s", strings.Join(set, ", "))
	}
	return set, ""
}

// alive tells whether gossip hears of a node.
func (d *Directory) alive(id string) bool {
	return slices.ContainsFunc(d.peers(), func(p Peer) bool { return p.ID == id && p.Alive })
}

// meet asks nodes how they stand. Those that do not answer within a second are not among the answers.
func (d *Directory) meet(ctx context.Context, ids []string, m *meeting) map[string]*stand {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var mu sync.Mutex
	stands := map[string]*stand{}
	var wg sync.WaitGroup
	for _, id := range ids {
		if id == d.cfg.Node {
			continue
		}
		wg.Go(func() {
			r, err := d.ask(ctx, id, &request{Meet: m})
			if err != nil || r.Stand == nil {
				d.log.Debug("a node does not say how it stands", "node", id, "err", err, "said", r.Error)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			stands[id] = r.Stand
		})
	}
	wg.Wait()
	return stands
}

// serveMeeting tells another node how this one stands.
func (d *Directory) serveMeeting(ctx context.Context, conn net.Conn, m *meeting) error {
	if len(m.Set) > maxVoters {
		return fmt.Errorf("asked to found a directory with %d voters", len(m.Set))
	}
	var answer reply
	if r := d.raft.Load(); r == nil {
		answer.Error = "this node does not take part in the directory, or not yet"
	} else {
		s := &stand{Last: r.LastIndex(), Term: r.CurrentTerm(), Directory: d.view.directory(), Expect: d.cfg.Expect}
		answer.Stand = s
		if s.Founded = s.Last > 0; !s.Founded {
			set, _ := d.candidates()
			if s.Set = set; len(set) > 0 && slices.Equal(set, m.Set) && m.Expect == d.cfg.Expect {
				s.Promised = d.promise.give(d.cfg.Dir, set, time.Now()) == nil
			}
			// It may have been founded while the promise was given.
			s.Founded = r.LastIndex() > 0
		}
	}
	if err := within(ctx, conn, requestWithin); err != nil {
		return err
	}
	return writeFrame(conn, answer)
}
