package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// vote takes part in Raft until ctx is done.
func (d *Directory) vote(ctx context.Context, s *store) error {
	streams := newLayer(d.cfg.Node, d.cfg.Raft)
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streams, MaxPool: 3, Timeout: 2 * d.cfg.Heartbeat,
		// A voter that is down fails every call to it, which Raft itself reports too.
		Logger: newLogger(d.log, slog.LevelDebug),
	})
	defer func() { _ = transport.Close() }()
	config := d.raftConfig()
	f := &fsm{view: d.view, log: d.log, machine: newMachine()}
	r, err := raft.NewRaft(config, f, s.log, s.log, s.snapshots, transport)
	if err != nil {
		return damaged(filepath.Join(d.cfg.Dir, raftDir), err)
	}
	// When the channel is full an observation is lost. The next one tells the leader too, and Leader asks Raft itself.
	seen := make(chan raft.Observation, 16)
	r.RegisterObserver(raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	d.raft.Store(r)
	var wg sync.WaitGroup
	defer wg.Wait()
	tending, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		d.found(tending, r)
		d.tend(tending, r)
	})
	leader := ""
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case o := <-seen:
			leader = d.noteLeader(leader, string(o.Data.(raft.LeaderObservation).LeaderID))
		}
	}
	if r.State() == raft.Leader && len(d.voters()) > 1 {
		// The others need not find out by themselves. It is bounded by the election timeout.
		if err := r.LeadershipTransfer().Error(); err != nil {
			d.log.Debug("no other voter took the lead", "err", err)
		}
	}
	if err := r.Shutdown().Error(); err != nil {
		return fmt.Errorf("end Raft: %w", err)
	}
	return nil
}

func (d *Directory) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(d.cfg.Node)
	c.HeartbeatTimeout = d.cfg.Heartbeat
	c.ElectionTimeout = d.cfg.Heartbeat
	c.LeaderLeaseTimeout = d.cfg.Heartbeat / 2
	c.CommitTimeout = 50 * time.Millisecond
	c.Logger = newLogger(d.log, slog.LevelWarn)
	return c
}

// noteLeader logs a change of the leader and returns the new one.
func (d *Directory) noteLeader(before, now string) string {
	switch {
	case now == before:
		return now
	case now == "":
		d.log.Warn("directory has no leader; known rooms go on, none can be opened or claimed", "last", before)
	default:
		d.metrics.leaders.Inc()
		d.log.Info("directory has a leader", "leader", now)
	}
	return now
}

// errNotLeader means that another node has to be asked.
var errNotLeader = errors.New("this node does not lead")

// lead answers a request at this node, if it leads. When it fails, a command may be carried out nevertheless.
func (d *Directory) lead(ctx context.Context, rq *request) (reply, error) {
	r := d.raft.Load()
	if r == nil || r.State() != raft.Leader {
		return reply{}, errNotLeader
	}
	switch {
	case rq.Do != nil:
		res, err := d.carryOut(r, rq.Do)
		return reply{Result: &res}, err
	case rq.Sync:
		// What was decided before is applied once an entry of this leader is: a leader that was deposed cannot commit it.
		if err := r.Barrier(d.cfg.CallTimeout).Error(); err != nil {
			return reply{}, fmt.Errorf("%w: %w", errNotLeader, err)
		}
		_, index := d.view.size()
		return reply{Index: index}, nil
	case rq.Remove != "":
		return d.remove(ctx, r, rq.Remove)
	default:
		return reply{Servers: d.care.servers(d.cfg.Node, r)}, nil
	}
}

func (d *Directory) carryOut(r *raft.Raft, c *command) (result, error) {
	b, err := c.encode()
	if err != nil {
		return result{}, err
	}
	future := r.Apply(b, d.cfg.CallTimeout)
	if err := future.Error(); err != nil {
		return result{}, fmt.Errorf("%w: %w", errNotLeader, err)
	}
	res, ok := future.Response().(result)
	if !ok {
		return result{}, fmt.Errorf("the directory answered %v", future.Response())
	}
	return res, nil
}

// voters are those who vote, as far as this node knows.
func (d *Directory) voters() (ids []string) {
	r := d.raft.Load()
	if r == nil {
		if ids = d.watched.Load().voters; len(ids) == 0 {
			ids = d.cfg.Voters
		}
		return ids
	}
	future := r.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	for _, s := range future.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			ids = append(ids, string(s.ID))
		}
	}
	slices.Sort(ids)
	return ids
}
