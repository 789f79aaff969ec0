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

// do gives a command and waits for the directory's decision and for this node's view of it. It owns the retry of
// commands: it asks one node after the other for the leader until ctx is done.
func (d *Directory) do(ctx context.Context, c command) (room Room, err error) {
	defer func(began time.Time) {
		d.metrics.command(c.Op, began, err)
		if err != nil {
			err = fmt.Errorf("%s room %.80s: %w", c.Op, c.Room, err)
		}
	}(time.Now())
	// One at a time, because the machine remembers but the last command of each client.
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return Room{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	d.seq++
	c.Client, c.Seq = d.client, d.seq
	if err := c.check(); err != nil {
		return Room{}, err
	}
	wait, hint := retryFirst, ""
	for attempt := 0; ; attempt++ {
		res, leader, err := d.try(ctx, &c, hint, attempt)
		if err == nil {
			d.await(ctx, res.Index)
			return res.Room, res.err()
		}
		// A node that names another leader is followed at once, but not for ever: two may name each other.
		if leader != "" && leader != hint && attempt%4 != 3 {
			hint = leader
			continue
		}
		hint = ""
		select {
		case <-ctx.Done():
			return Room{}, fmt.Errorf("%w: %w; last: %w", ErrUnavailable, ctx.Err(), err)
		case <-d.ended:
			return Room{}, fmt.Errorf("%w: this node's directory has ended", ErrUnavailable)
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, retryLast)
	}
}

// try gives the command to the leader that was hinted at, or to the one that this node knows. Every other attempt goes
// to any voter in turn, because a leader that died is known as the leader for a while.
func (d *Directory) try(ctx context.Context, c *command, hint string, attempt int) (res result, leader string, err error) {
	if res, err = d.carryOut(c); !errors.Is(err, errNotLeader) {
		return res, "", err
	}
	node := hint
	if node == "" {
		node = d.Leader()
	}
	if node == "" || node == d.cfg.Node || hint == "" && attempt%2 == 1 {
		others := slices.DeleteFunc(slices.Clone(d.cfg.Voters), func(v string) bool { return v == d.cfg.Node })
		if len(others) == 0 {
			return result{}, "", err
		}
		node = others[attempt/2%len(others)]
	}
	return d.ask(ctx, node, c)
}

// ask gives the command to another node.
func (d *Directory) ask(ctx context.Context, node string, c *command) (res result, leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.CallTimeout)
	defer cancel()
	conn, err := d.dial(ctx, node)
	if err != nil {
		return result{}, "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	var r reply
	if err = writeFrame(conn, request{Do: c}); err == nil {
		err = readFrame(conn, &r)
	}
	switch {
	case err != nil:
		return result{}, "", fmt.Errorf("ask node %s: %w", node, err)
	case r.Result == nil:
		return result{}, r.Leader, fmt.Errorf("ask node %s: %.200s", node, r.Error)
	}
	return *r.Result, "", nil
}

func (d *Directory) dial(ctx context.Context, node string) (net.Conn, error) {
	conn, err := d.cfg.Calls.Dial(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("reach node %s: %w", node, err)
	}
	return conn, nil
}

// await waits a little for this node to see what a command has done, so that who opens a room finds it here.
func (d *Directory) await(ctx context.Context, index uint64) {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	for {
		changed := d.view.wait()
		if _, seen := d.view.size(); seen >= index {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		case <-d.ended:
			return
		}
	}
}
