package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Directory is this node's share in the agreement, or its watch of it.
type Directory struct {
	// Set by New, never changed.
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	view    *view
	client  string        // this process, as the machine knows it
	serves  bool          // it takes part in Raft
	turn    chan struct{} // held by the command that is on its way; capacity 1
	ended   chan struct{} // closed when Run ends

	raft    atomic.Pointer[raft.Raft] // while a node that takes part runs
	watched atomic.Pointer[watchedState]

	care    care
	promise promise

	// Guarded by turn.
	seq uint64
}

// watchedState is what a node that does not take part hears from the one that it watches.
type watchedState struct {
	voter, leader string
	voters        []string
}

// New reads what this node kept on disk, so that rooms are known from then on. Run takes part.
func New(cfg Config) (*Directory, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	// Opening the store tells an operator now what Run could only tell later. Nobody but Run keeps it open.
	s, err := openStore(&cfg)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	cache := readCache(&cfg)
	if err := errors.Join(s.verify(&cfg, cache.Log), s.close()); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	d := &Directory{
		cfg: cfg, log: cfg.Logger, view: newView(cache), client: newName(),
		serves: cfg.serves(), turn: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	d.watched.Store(&watchedState{})
	d.metrics = newMetrics(cfg.Registerer, d)
	return d, nil
}

// newName is one that nobody else has.
func newName() string { return rand.Text() }

// Room tells what this node knows of a room.
func (d *Directory) Room(name string) (Room, bool) { return d.view.room(name) }

// Rooms lists the rooms that this node knows, in the order of their names.
func (d *Directory) Rooms() []Room { return d.view.image().Rooms }

// Changed is closed at the next change of the rooms or the keys; ask for it before Room, Rooms or Keys, and again after each change.
func (d *Directory) Changed() <-chan struct{} { return d.view.wait() }

// Open makes a room. With a home it is claimed for it at once; Opened is now unless it is given. A room of that name
// is returned with ErrExists.
func (d *Directory) Open(ctx context.Context, r Room) (Room, error) {
	if r.Opened.IsZero() {
		r.Opened = time.Now()
	}
	return d.do(ctx, command{Op: opOpen, Room: r.Name, Title: r.Title, Opened: r.Opened.UTC(), Node: r.Home})
}

// Claim makes a node a room's home, if the room's epoch is still the previous one; otherwise it returns the room as it is
// now and a StaleError. The room returned has the new epoch.
func (d *Directory) Claim(ctx context.Context, room, node string, previous uint64) (Room, error) {
	return d.do(ctx, command{Op: opClaim, Room: room, Node: node, Previous: previous})
}

// Release leaves a room without a home, if its epoch is still the given one; otherwise it returns the room as it is now
// and a StaleError.
func (d *Directory) Release(ctx context.Context, room string, epoch uint64) (Room, error) {
	return d.do(ctx, command{Op: opRelease, Room: room, Previous: epoch})
}

// Close ends a room.
func (d *Directory) Close(ctx context.Context, room string) error {
	_, err := d.do(ctx, command{Op: opClose, Room: room})
	return err
}

// Serves tells whether this node takes part in the agreement or wants to, and does not only watch.
func (d *Directory) Serves() bool { return d.serves }

// Leader is the id of the node that leads, as far as this node knows; "" means that it knows none.
func (d *Directory) Leader() string {
	if r := d.raft.Load(); r != nil {
		_, id := r.LeaderWithID()
		return string(id)
	}
	return d.watched.Load().leader
}

// Status is a directory as /status shows it.
type Status struct {
	// Role is leader, follower, candidate, watcher or stopped.
	Role   string `json:"role"`
	Leader string `json:"leader"`
	// Watching is the voter that a watcher watches.
	Watching string   `json:"watching,omitempty"`
	Term     uint64   `json:"term,omitempty"`
	Applied  uint64   `json:"applied"`
	Rooms    int      `json:"rooms"`
	Voters   []string `json:"voters"`
	// Waiting says in words what a directory that is not founded yet waits for; "" otherwise.
	Waiting string `json:"waiting,omitempty"`
	// Disk says why the folder cannot be written; "" if it can.
	Disk string `json:"disk,omitempty"`
	// Ready means that a leader is known. Known rooms are served without.
	Ready bool `json:"ready"`
}

// Status tells how this node stands.
func (d *Directory) Status() Status {
	s := Status{Role: "stopped", Leader: d.Leader(), Voters: d.voters(), Disk: d.care.diskProblem()}
	s.Rooms, s.Applied = d.view.size()
	s.Ready = s.Leader != ""
	if r := d.raft.Load(); r != nil {
		if r.LastIndex() == 0 {
			s.Waiting = d.care.waits()
		}
		s.Term = r.CurrentTerm()
		s.Role = map[raft.RaftState]string{
			raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "stopped",
		}[r.State()]
	} else if w := d.watched.Load(); w.voter != "" || !d.serves {
		s.Role, s.Watching = "watcher", w.voter
	}
	return s
}

// Run takes part in the agreement, or watches it, until ctx is done.
func (d *Directory) Run(ctx context.Context) error {
	store, err := openStore(&d.cfg)
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	defer close(d.ended)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.save(ctx) })
	wg.Go(func() { d.answer(ctx) })
	wg.Go(func() { d.bringBack(ctx) })
	if d.serves {
		err = d.vote(ctx, store)
	} else {
		if d.cfg.Raft != nil {
			_ = d.cfg.Raft.Close() // nobody has to reach Raft here
		}
		d.follow(ctx)
	}
	cancel()
	wg.Wait()
	if err = errors.Join(err, store.close()); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	return nil
}

// save keeps the cache on disk up to date, and rests between writes so as to take little of the disk's time.
func (d *Directory) save(ctx context.Context) {
	_, saved := d.view.size()
	for {
		changed := d.view.wait()
		rest := 200 * time.Millisecond
		if _, index := d.view.size(); index != saved {
			began := time.Now()
			log := uint64(0)
			if r := d.raft.Load(); r != nil {
				log = r.AppliedIndex()
			}
			i := d.view.image()
			i.Log = log
			err := writeCache(d.cfg.Dir, i)
			d.metrics.saves.WithLabelValues(outcome(err)).Inc()
			d.care.wrote(err)
			if err != nil {
				d.log.Error("the rooms are not on disk", "err", err)
			} else {
				saved = i.Index
			}
			rest = max(rest, 20*time.Since(began))
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			continue // to write what is new
		case <-changed:
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}

// outcome is the metrics' word for an error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrStale):
		return "stale"
	default:
		return "refused"
	}
}
