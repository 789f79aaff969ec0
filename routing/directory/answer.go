package directory

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxStreams is how many streams of other nodes are answered at once. Another one is closed and counted, and its
	// node tries elsewhere or again. A node that does not vote keeps one open for its watch.
	maxStreams = 1024

	requestWithin = 5 * time.Second // for the first message of a stream
	newsEvery     = time.Second     // at the least
	newsWithin    = 5 * time.Second // for a watcher to take a message
)

// answer serves the other nodes until ctx is done.
func (d *Directory) answer(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = d.cfg.Calls.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxStreams)
	for {
		conn, err := d.cfg.Calls.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				<-ctx.Done()
				return
			}
			d.log.Debug("directory cannot accept streams", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			d.metrics.refused.Inc()
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { interrupt(conn) })()
			if err := d.serve(ctx, conn); err != nil && ctx.Err() == nil {
				d.log.Debug("a stream of the directory ended", "from", conn.RemoteAddr(), "err", err)
			}
		})
	}
}

func (d *Directory) serve(ctx context.Context, conn net.Conn) error {
	var rq request
	if err := within(ctx, conn, requestWithin); err != nil {
		return err
	}
	if err := readFrame(conn, &rq); err != nil {
		return err
	}
	switch {
	case rq.Do != nil, rq.Sync, rq.Remove != "", rq.Servers:
		return d.serveLeader(ctx, conn, &rq)
	case rq.Meet != nil:
		return d.serveMeeting(ctx, conn, rq.Meet)
	case rq.Watch != nil && d.serves:
		return d.serveWatch(ctx, conn, rq.Watch.After)
	case rq.Watch != nil:
		return errors.New("asked for news, which voters give")
	default:
		return errors.New("asked for nothing")
	}
}

// serveLeader answers what only the leader can, or says who leads.
func (d *Directory) serveLeader(ctx context.Context, conn net.Conn, rq *request) error {
	r, err := d.lead(ctx, rq)
	if err != nil {
		r = reply{Error: err.Error()}
		if leader := d.Leader(); leader != d.cfg.Node {
			r.Leader = leader
		}
	}
	if err := within(ctx, conn, requestWithin); err != nil {
		return err
	}
	return writeFrame(conn, r)
}

// serveWatch tells a node what happens, beginning after what it knows. A watcher that does not keep up is given all
// that it has missed at once, or everything; nothing queues up for it here.
func (d *Directory) serveWatch(ctx context.Context, conn net.Conn, after uint64) error {
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	for {
		moved := d.view.advanced()
		u := d.view.since(after)
		for _, n := range split(u, d.Leader(), d.voters()) {
			if err := within(ctx, conn, newsWithin); err != nil {
				return err
			}
			if err := writeFrame(conn, n); err != nil {
				return err
			}
		}
		after = u.Index
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-tick.C:
		}
	}
}
