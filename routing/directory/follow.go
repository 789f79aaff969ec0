package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	silence    = 4 * time.Second // without a message a watched voter is given up
	leaderless = 3 * time.Second // a watched voter that knows no leader for so long may be cut off
)

var (
	errLeaderless = errors.New("it knows no leader")
	errNobody     = errors.New("no node that takes part in the directory is heard of")
)

// follow watches one voter after the other until ctx is done. It owns the retry of watching.
func (d *Directory) follow(ctx context.Context) {
	start := rand.N(maxVoters) // not all begin with the same one
	wait, failed, leader := retryFirst, 0, ""
	for i := start; ctx.Err() == nil; i++ {
		voters := d.others()
		heard, voter, err := false, "", errNobody
		if len(voters) > 0 {
			voter = voters[i%len(voters)]
			heard, err = d.watch(ctx, voter, &leader)
		}
		if ctx.Err() != nil {
			return
		}
		d.log.Debug("directory is not watched", "voter", voter, "err", err)
		if failed++; heard {
			wait, failed = retryFirst, 0
		}
		if failed >= len(voters) {
			d.watched.Store(&watchedState{voters: d.watched.Load().voters})
			leader = d.noteLeader(leader, "")
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, retryLast)
	}
}

// watch takes a voter's news until it fails, and tells whether there were any.
func (d *Directory) watch(ctx context.Context, voter string, leader *string) (heard bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, d.cfg.CallTimeout)
	conn, err := d.dial(dialing, voter)
	cancel()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	if err := within(ctx, conn, silence); err != nil {
		return false, err
	}
	_, after := d.view.size()
	if err := writeFrame(conn, request{Watch: &watch{After: after}}); err != nil {
		return false, err
	}
	var whole update
	led := time.Now()
	for {
		var n news
		if err := within(ctx, conn, silence); err != nil {
			return heard, err
		}
		if err := readFrame(conn, &n); err != nil {
			return heard, fmt.Errorf("hear of voter %s: %w", voter, err)
		}
		whole.Index, whole.Full, whole.Directory, whole.Keys = n.Index, n.Full, n.Directory, n.Keys
		whole.Set, whole.Gone = append(whole.Set, n.Set...), append(whole.Gone, n.Gone...)
		if len(whole.Set) > maxRooms || len(whole.Gone) > maxRooms {
			return heard, fmt.Errorf("voter %s tells of more than %d rooms", voter, maxRooms)
		}
		if len(n.Voters) > maxVoters {
			return heard, fmt.Errorf("voter %s tells of %d voters", voter, len(n.Voters))
		}
		if n.More {
			continue
		}
		d.view.merge(whole)
		whole = update{}
		d.watched.Store(&watchedState{voter: voter, leader: n.Leader, voters: n.Voters})
		*leader = d.noteLeader(*leader, n.Leader)
		if n.Leader != "" {
			heard, led = true, time.Now()
		} else if time.Since(led) > leaderless {
			return heard, fmt.Errorf("watch voter %s: %w", voter, errLeaderless)
		}
	}
}
