package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	silence    = 4 * time.Second // without a message a watched voter is given up
	leaderless = 3 * time.Second // a watched voter that knows no leader for so long may be cut off
)

var errLeaderless = errors.New("it knows no leader")

// follow watches one voter after the other until ctx is done. It owns the retry of watching.
func (d *Directory) follow(ctx context.Context) {
	voters := slices.Clone(d.cfg.Voters)
	rand.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	wait, failed, leader := retryFirst, 0, ""
	for i := 0; ctx.Err() == nil; i++ {
		voter := voters[i%len(voters)]
		heard, err := d.watch(ctx, voter, &leader)
		if ctx.Err() != nil {
			return
		}
		d.log.Debug("directory is not watched", "voter", voter, "err", err)
		if failed++; heard {
			wait, failed = retryFirst, 0
		}
		if failed >= len(voters) {
			d.watched.Store(&watchedState{})
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
		whole.Index, whole.Full = n.Index, n.Full
		whole.Set, whole.Gone = append(whole.Set, n.Set...), append(whole.Gone, n.Gone...)
		if len(whole.Set) > maxRooms || len(whole.Gone) > maxRooms {
			return heard, fmt.Errorf("voter %s tells of more than %d rooms", voter, maxRooms)
		}
		if n.More {
			continue
		}
		d.view.merge(whole)
		whole = update{}
		d.watched.Store(&watchedState{voter: voter, leader: n.Leader})
		*leader = d.noteLeader(*leader, n.Leader)
		if n.Leader != "" {
			heard, led = true, time.Now()
		} else if time.Since(led) > leaderless {
			return heard, fmt.Errorf("watch voter %s: %w", voter, errLeaderless)
		}
	}
}
