package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	if err := d.found(config, s, transport); err != nil {
		return err
	}
	f := &fsm{view: d.view, log: d.log, machine: newMachine()}
	r, err := raft.NewRaft(config, f, s.log, s.log, s.snapshots, transport)
	if err != nil {
		return fmt.Errorf("take up the directory's log and snapshots in %s: %w", d.cfg.Dir, err)
	}
	// When the channel is full an observation is lost. The next one tells the leader too, and Leader asks Raft itself.
	seen := make(chan raft.Observation, 16)
	r.RegisterObserver(raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	d.raft.Store(r)
	d.warnOfOtherVoters(r)
	leader := ""
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case o := <-seen:
			leader = d.noteLeader(leader, string(o.Data.(raft.LeaderObservation).LeaderID))
		}
	}
	if r.State() == raft.Leader && len(d.cfg.Voters) > 1 {
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

// found makes the voters of the configuration those of the cluster, if this node knows of no cluster yet. All voters do
// the same with the same list, so it does not matter who is first or whether they can see one another.
func (d *Directory) found(config *raft.Config, s *store, transport raft.Transport) error {
	var voters raft.Configuration
	for _, id := range sortedStrings(d.cfg.Voters) {
		voters.Servers = append(voters.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	err := raft.BootstrapCluster(config, s.log, s.log, s.snapshots, transport, voters)
	switch {
	case err == nil:
		d.log.Info("directory begins", "voters", sortedStrings(d.cfg.Voters))
	case !errors.Is(err, raft.ErrCantBootstrap):
		return fmt.Errorf("begin the directory: %w", err)
	}
	return nil
}

// warnOfOtherVoters tells an operator that a changed list of voters has no effect.
func (d *Directory) warnOfOtherVoters(r *raft.Raft) {
	future := r.GetConfiguration()
	if future.Error() != nil {
		return
	}
	var ids []string
	for _, s := range future.Configuration().Servers {
		ids = append(ids, string(s.ID))
	}
	if have, want := fmt.Sprint(sortedStrings(ids)), fmt.Sprint(sortedStrings(d.cfg.Voters)); have != want {
		d.log.Warn("the voters of the configuration are not those of the directory, which stay", "configured", want, "voters", have)
	}
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

// carryOut has Raft carry out a command at this node, the leader. When it fails, the command may be carried out
// nevertheless.
func (d *Directory) carryOut(c *command) (result, error) {
	r := d.raft.Load()
	if r == nil || r.State() != raft.Leader {
		return result{}, errNotLeader
	}
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
