package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/wire"
)

// Why a link ends, when it is not for an error of its connections.
var (
	errSilent     = errors.New("no heartbeat came")
	errIdle       = errors.New("nothing is subscribed")
	errSuperseded = errors.New("the child has opened a newer link")
	errStuck      = errors.New("the peer does not read its control stream")
	errGoodbye    = errors.New("the node ends")
	errRestarted  = errors.New("the parent has restarted")
	errStripes    = errors.New("the first stripe ended")
)

// controlBacklog bounds the messages that wait to be written, in bytes. A peer that lets more wait is cut off.
const controlBacklog = 1 << 20

// link is what both ends of a link have in common: stripes, control stream, heartbeats.
type link struct {
	// Set by newLink, never changed.
	links *Links
	log   *slog.Logger
	peer  string
	up    bool // this node is the child
	id    uint64
	boot  uint64 // of the peer
	speak uint64 // the version of the protocol that was agreed
	born  time.Time
	ctx   context.Context // ends with the link; its cause says why
	end   context.CancelCauseFunc
	wake  chan struct{} // messages wait
	tasks sync.WaitGroup

	stripes atomic.Pointer[[]*stripe] // replaced under mu
	heard   atomic.Int64              // when the peer was last heard, since born
	rtt     atomic.Int64              // by heartbeats, smoothed, in ns; 0 for not known
	offset  atomic.Int64              // the peer's clock minus ours, in µs; means nothing while rtt is 0
	users   atomic.Int32              // subscriptions
	idle    atomic.Int64              // when the last subscription ended, since born

	meter   lossMeter
	came    atomic.Uint64 // heartbeats of the peer, each copy
	arrived atomic.Uint64 // heartbeats of this end that had come to the peer, by its newest; 0 if it does not tell

	mu sync.Mutex
	// Guarded by mu.
	ended   bool
	backlog []byte         // messages that wait
	echo    wire.Heartbeat // Echo and Came of the next heartbeat
	clocks  clocks
}

func (l *link) init(links *Links, peer string, up bool, id, boot, speak uint64) {
	l.links, l.peer, l.up, l.id, l.boot, l.speak = links, peer, up, id, boot, speak
	l.born = time.Now()
	l.wake = make(chan struct{}, 1)
	l.ctx, l.end = context.WithCancelCause(links.ctx)
	l.stripes.Store(new([]*stripe))
	l.log = links.log.With("node", peer, "direction", direction(up))
}

func direction(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// run lives as long as the link, then ends its stripes and waits for all that was started for it. Its error says why
// the link ended.
func (l *link) run() error {
	l.tasks.Go(l.beat)
	l.log.Info("link opened", "version", l.speak)
	<-l.ctx.Done()
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	why := l.why()
	code, reason := verdict(why)
	l.links.remember(l)
	l.links.metrics.closed.WithLabelValues(reason).Inc()
	l.log.Info("link closed", "reason", reason, "err", why)
	for _, s := range *l.stripes.Load() {
		s.conn.CloseWithError(code, reason)
	}
	l.tasks.Wait()
	return why
}

func (l *link) why() error {
	why := context.Cause(l.ctx)
	if errors.Is(why, context.Canceled) {
		return errGoodbye
	}
	return why
}

// verdict classifies why a link ended.
func verdict(err error) (code quic.ApplicationErrorCode, reason string) {
	switch {
	case errors.Is(err, wire.ErrMalformed):
		return codeProtocol, "protocol"
	case errors.Is(err, ErrVersion):
		return codeRefused, "version"
	case errors.Is(err, errSilent):
		return codeSilent, "silent"
	case errors.Is(err, errNotReading), errors.Is(err, errStuck):
		return codeRefused, "not reading"
	case errors.Is(err, errExcess), errors.Is(err, errEndless):
		return codeRefused, "excess"
	case errors.Is(err, errIdle):
		return codeGoodbye, "idle"
	case errors.Is(err, errSuperseded):
		return codeGoodbye, "superseded"
	case errors.Is(err, errRestarted):
		return codeGoodbye, "restarted"
	case errors.Is(err, errGoodbye):
		return codeGoodbye, "goodbye"
	}
	if closed, ok := errors.AsType[*quic.ApplicationError](err); ok && closed.Remote && closed.ErrorCode == codeGoodbye {
		return codeGoodbye, "goodbye"
	}
	return codeGoodbye, "lost"
}

// join adds a stripe and serves it. The messages that come on stripe 0 go to handle.
func (l *link) join(s *stripe, messages *wire.Reader, handle func(wire.Message) error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	var list []*stripe
	for _, old := range *l.stripes.Load() {
		if old.index == s.index {
			if s.index == 0 {
				return false // the link ends with the first stripe
			}
			l.tasks.Go(func() { old.conn.CloseWithError(codeGoodbye, "replaced") })
			continue
		}
		list = append(list, old)
	}
	list = append(list, s)
	l.stripes.Store(&list)
	l.tasks.Go(func() { s.out.drain(s.conn) })
	l.tasks.Go(func() {
		<-s.conn.Context().Done()
		l.leave(s)
	})
	if s.index == 0 {
		l.tasks.Go(func() { l.writeMessages(s.stream) })
		l.tasks.Go(func() { l.end(l.readMessages(messages, handle)) })
	}
	l.hear()
	return true
}

// leave removes a stripe whose connection has ended.
func (l *link) leave(s *stripe) {
	why, ok := errors.AsType[*quic.ApplicationError](context.Cause(s.conn.Context()))
	if s.index == 0 || ok && why.Remote && why.ErrorCode != codeGoodbye {
		// The peer has given up the link, or nothing more can be said on it.
		l.end(fmt.Errorf("%w: %w", errStripes, context.Cause(s.conn.Context())))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*stripe
	for _, old := range *l.stripes.Load() {
		if old != s {
			list = append(list, old)
		}
	}
	l.stripes.Store(&list)
}

func (l *link) readMessages(r *wire.Reader, handle func(wire.Message) error) error {
	for {
		m, err := r.Next()
		if err == nil {
			l.hear()
			err = handle(m)
		}
		if err == io.EOF {
			err = errGoodbye
		}
		if err != nil {
			return err
		}
	}
}

// send queues a message. It never blocks.
func (l *link) send(m wire.Message) {
	l.mu.Lock()
	l.backlog = wire.AppendMessage(l.backlog, m)
	full := len(l.backlog) > controlBacklog
	l.mu.Unlock()
	if full {
		l.end(errStuck)
	}
	poke(l.wake)
}

func (l *link) writeMessages(stream *quic.Stream) {
	var b []byte
	for {
		select {
		case <-l.wake:
		case <-l.ctx.Done():
			return
		}
		l.mu.Lock()
		b, l.backlog = l.backlog, b[:0]
		l.mu.Unlock()
		if _, err := stream.Write(b); err != nil {
			l.end(fmt.Errorf("write to the control stream: %w", err))
			return
		}
	}
}

// hear notes a sign of life.
func (l *link) hear() { l.heard.Store(int64(time.Since(l.born))) }

// looks is how often in the time of one heartbeat it is looked whether the peer is silent: whatever a look comes too late
// is time in which a track stands still.
const looks = 4

// beat sends heartbeats on two stripes in turn, so that the loss of one harms nobody. It ends the link when the peer has
// missed three or when nobody has needed the link for long.
func (l *link) beat() {
	every := l.links.cfg.Heartbeat
	ticker := time.NewTicker(every / looks)
	defer ticker.Stop()
	var b []byte
	last, beats := time.Now(), uint64(0) // heartbeats so far
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
		now := time.Now()
		if now.Sub(last) > 2*every {
			l.hear() // it was this process that stood still, the peer's heartbeats may be waiting in the socket
		}
		last = now
		// Three heartbeats are missed when a fourth would be due; half an interval allows for a way that varies.
		if now.Sub(l.born)-time.Duration(l.heard.Load()) > 3*every+every/2 {
			l.end(errSilent)
			return
		}
		if l.users.Load() == 0 && now.Sub(l.born)-time.Duration(l.idle.Load()) > l.patience() {
			l.end(errIdle)
			return
		}
		list := *l.stripes.Load()
		l.meter.look(now, list, l.up, beats, l.arrived.Load())
		if n%looks != 0 {
			continue
		}
		beats += 2 * uint64(min(len(list), 1))
		l.mu.Lock()
		h := l.echo
		l.mu.Unlock()
		h.Sent, h.Heard = l.links.cfg.Clock().UnixMicro(), l.came.Load()
		b = wire.AppendHeartbeat(b[:0], h)
		l.onOne(n/looks, b)
		l.onOne(n/looks+1, b)
	}
}

// patience is how long the link may stay without subscriptions. The child, who knows whether it will need the link, gives
// it up first.
func (l *link) patience() time.Duration {
	if l.up {
		return l.links.cfg.Idle
	}
	return l.links.cfg.Idle * 3 / 2
}

// onOne gives a datagram to a stripe, chosen in turn by n. It returns how many older ones were dropped for it.
func (l *link) onOne(n int, b []byte) (dropped int) {
	list := *l.stripes.Load()
	if len(list) > 0 && list[n%len(list)].out.put(b) {
		return 1
	}
	return 0
}

// count notes how the number of subscriptions changes.
func (l *link) count(d int32) int32 {
	l.idle.Store(int64(time.Since(l.born)))
	return l.users.Add(d)
}
