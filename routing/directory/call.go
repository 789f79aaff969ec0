package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

const (
	retryFirst = 50 * time.Millisecond
	retryLast  = time.Second
)

// do gives a command about a room, and waits for the directory's decision and for this node's view of it.
func (d *Directory) do(ctx context.Context, c command) (Room, error) {
	res, err := d.result(ctx, c)
	if err == nil {
		err = res.err()
	}
	if err != nil {
		return res.Room, fmt.Errorf("%s room %.80s: %w", c.Op, c.Room, err)
	}
	return res.Room, nil
}

// result gives a command, and waits for the directory's decision and for this node's view of it.
func (d *Directory) result(ctx context.Context, c command) (res result, err error) {
	defer func(began time.Time) {
		decided := err
		if err == nil {
			decided = res.err()
		}
		d.metrics.command(c.Op, began, decided)
	}(time.Now())
	// One at a time, because the machine remembers but the last command of each client.
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return result{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	d.seq++
	c.Client, c.Seq = d.client, d.seq
	if err := c.check(); err != nil {
		return result{}, err
	}
	r, err := d.consult(ctx, &request{Do: &c})
	if err != nil {
		return result{}, err
	}
	if r.Result == nil {
		return result{}, errors.New("the directory gave no result")
	}
	d.await(ctx, r.Result.Index)
	return *r.Result, nil
}

// consult has the leader answer a request. It owns the retry: it asks one node after the other for the leader until ctx
// is done. A refusal is the leader's decision, and final.
func (d *Directory) consult(ctx context.Context, rq *request) (reply, error) {
	wait, hint := retryFirst, ""
	for attempt := 0; ; attempt++ {
		r, err := d.try(ctx, rq, hint, attempt)
		if err == nil && r.Refused != "" {
			return reply{}, fmt.Errorf("%w: %.500s", ErrRefused, r.Refused)
		}
		if err == nil {
			return r, nil
		}
		// A node that names another leader is followed at once, but not for ever: two may name each other.
		if r.Leader != "" && r.Leader != hint && attempt%4 != 3 {
			hint = r.Leader
			continue
		}
		hint = ""
		select {
		case <-ctx.Done():
			return reply{}, fmt.Errorf("%w: %w; last: %w", ErrUnavailable, ctx.Err(), err)
		case <-d.ended:
			return reply{}, fmt.Errorf("%w: this node's directory has ended", ErrUnavailable)
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, retryLast)
	}
}

// try asks the leader that was hinted at, or the one that this node knows. Every other attempt goes to any voter in turn,
// because a leader that died is known as the leader for a while. With an error, the reply may name another leader.
func (d *Directory) try(ctx context.Context, rq *request, hint string, attempt int) (reply, error) {
	r, err := d.lead(ctx, rq)
	if !errors.Is(err, errNotLeader) {
		return r, err
	}
	node := hint
	if node == "" {
		node = d.Leader()
	}
	if node == "" || node == d.cfg.Node || hint == "" && attempt%2 == 1 {
		others := d.others()
		if len(others) == 0 {
			return reply{}, err
		}
		node = others[attempt/2%len(others)]
	}
	// A leader that died keeps silent. The first attempts are short, which is safe because repeated commands are recognised,
	// and all end when this node hears of another leader.
	ctx, cancel := context.WithTimeout(ctx, time.Second<<min(attempt, 4))
	defer cancel()
	defer d.untilElse(ctx, cancel, node)()
	r, err = d.ask(ctx, node, rq)
	if err == nil && r.Error != "" {
		err = fmt.Errorf("ask node %s: %.200s", node, r.Error)
	}
	return r, err
}

// untilElse cancels when this node's leader changes to somebody else than node. The function it returns ends that.
func (d *Directory) untilElse(ctx context.Context, cancel context.CancelFunc, node string) (end func()) {
	began := d.Leader()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := d.Leader(); now != began && now != node {
				cancel()
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// ask sends a request to another node and waits for its reply.
func (d *Directory) ask(ctx context.Context, node string, rq *request) (r reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.CallTimeout)
	defer cancel()
	conn, err := d.dial(ctx, node)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	if err = writeFrame(conn, rq); err == nil {
		err = readFrame(conn, &r)
	}
	if err != nil {
		return reply{}, fmt.Errorf("ask node %s: %w", node, err)
	}
	return r, nil
}

// others are the nodes that may know the leader: those that found the directory, those that vote and those that say that
// they take part.
func (d *Directory) others() []string {
	list := append(slices.Clone(d.cfg.Voters), d.voters()...)
	for _, p := range d.peers() {
		if p.Serves && p.Alive {
			list = append(list, p.ID)
		}
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(id string) bool { return id == d.cfg.Node })
}

func (d *Directory) peers() []Peer {
	if d.cfg.Peers == nil {
		return nil
	}
	return d.cfg.Peers()
}

func (d *Directory) dial(ctx context.Context, node string) (net.Conn, error) {
	conn, err := d.cfg.Calls.Dial(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("reach node %s: %w", node, err)
	}
	return conn, nil
}

// Sync waits until this node shows everything that the directory had decided when Sync was called, so that Room and Rooms
// then answer as the leader would have. It needs a majority of the voters; without, it fails with ErrUnavailable.
func (d *Directory) Sync(ctx context.Context) error {
	r, err := d.consult(ctx, &request{Sync: true})
	if err != nil {
		return fmt.Errorf("read what is agreed: %w", err)
	}
	if err := d.reach(ctx, r.Index); err != nil {
		return fmt.Errorf("read what is agreed: %w", err)
	}
	return nil
}

// await waits a little for this node to see what a command has done, so that who opens a room finds it here.
func (d *Directory) await(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = d.reach(ctx, index) // whoever looks too early sees the past, as ever
}

// reach waits for this node to show the directory as of an index.
func (d *Directory) reach(ctx context.Context, index uint64) error {
	for {
		changed := d.view.advanced()
		if _, seen := d.view.size(); seen >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: this node has not come so far: %w", ErrUnavailable, ctx.Err())
		case <-d.ended:
			return fmt.Errorf("%w: this node's directory has ended", ErrUnavailable)
		}
	}
}
