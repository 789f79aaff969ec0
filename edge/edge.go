package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/edge/fan"
)

var (
	// ErrFull: the node has no seat left.
	ErrFull = errors.New("the node has no seat left")
	// ErrOffer: the subscriber's SDP offer cannot be answered.
	ErrOffer = errors.New("the SDP offer cannot be answered")
	// ErrClosed: the node is shutting down.
	ErrClosed = errors.New("the node is shutting down")
	// ErrLeft: the subscriber said goodbye.
	ErrLeft = errors.New("the subscriber left")
	// ErrLost: the subscriber is no longer heard of.
	ErrLost = errors.New("the connection to the subscriber was lost")
	// ErrExcess: the subscriber opens one data channel or source after the other.
	ErrExcess = errors.New("the subscriber opened more data channels or sources than a player has a use for")
	// ErrUnconnected: the subscriber never connected after its answer.
	ErrUnconnected = errors.New("the subscriber did not connect")
)

// Edge is the subscribers of this node.
type Edge struct {
	// Set by New, never changed.
	cfg     Config
	metrics *metrics
	began   time.Time
	running sync.WaitGroup // one for each subscriber and each pump

	mu sync.Mutex
	// Guarded by mu.
	subscribers map[*Subscriber]struct{}
	rooms       map[string]*room
	seats       int // taken by subscribers, and by those that are in the making
	closed      bool
}

// New makes an edge without subscribers.
func New(cfg Config) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("serve subscribers: %w", err)
	}
	if cfg.Engine == nil {
		cfg.Engine = func() webrtc.SettingEngine { return webrtc.SettingEngine{} }
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Fan == nil {
		f, err := fan.New(fan.Config{})
		if err != nil {
			return nil, fmt.Errorf("serve subscribers: %w", err)
		}
		cfg.Fan = f
	}
	e := &Edge{cfg: cfg, began: time.Now(), subscribers: map[*Subscriber]struct{}{}, rooms: map[string]*room{}}
	e.metrics = newMetrics(cfg.Registerer, e)
	return e, nil
}

// Run waits until ctx is done, then ends all subscribers and waits for their end.
func (e *Edge) Run(ctx context.Context) error {
	<-ctx.Done()
	e.mu.Lock()
	e.closed = true
	all := make([]*Subscriber, 0, len(e.subscribers))
	for s := range e.subscribers {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		s.Close(ErrClosed)
	}
	e.running.Wait()
	return nil
}

// SubscribeRequest is who wants to watch what.
type SubscribeRequest struct {
	// Room is the room's name.
	Room string
	// Subject is the person.
	Subject string
	// Name is what others see.
	Name string
	// Offer is the SDP offer, checked by wish.CheckOffer.
	Offer string
}

// Subscribe makes a subscriber and the SDP answer for it, with all candidates. It gets media as soon as it is connected
// and somebody publishes in the room.
func (e *Edge) Subscribe(ctx context.Context, rq SubscribeRequest) (*Subscriber, string, error) {
	began := e.now()
	s, answer, err := e.subscribe(ctx, rq, began)
	e.metrics.joined(err)
	if err != nil {
		return nil, "", fmt.Errorf("subscribe in room %s: %w", rq.Room, err)
	}
	e.cfg.Logger.Info("subscriber begins", "room", rq.Room, "subject", rq.Subject)
	return s, answer, nil
}

func (e *Edge) subscribe(ctx context.Context, rq SubscribeRequest, began int64) (*Subscriber, string, error) {
	if err := e.takeSeat(); err != nil {
		return nil, "", err
	}
	s, answer, err := e.newSubscriber(ctx, rq, began)
	if err != nil {
		e.leaveSeat()
		return nil, "", err
	}
	if err := e.enter(s); err != nil {
		_ = s.pc.Close() // it never opened
		e.leaveSeat()
		return nil, "", err
	}
	return s, answer, nil
}

func (e *Edge) takeSeat() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.cfg.MaxSubscribers > 0 && e.seats >= e.cfg.MaxSubscribers:
		return ErrFull
	}
	e.seats++
	return nil
}

func (e *Edge) leaveSeat() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seats--
}

// enter puts a subscriber into its room, which begins with its first one, and starts it.
func (e *Edge) enter(s *Subscriber) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	r := e.rooms[s.rq.Room]
	if r == nil {
		r = newRoom(s.rq.Room, e)
		e.rooms[s.rq.Room] = r
	}
	s.room, s.shard = r, r.enterLocked()
	for i, l := range s.legs {
		l.offer(s.shard, s.parts[i].tracks)
	}
	e.subscribers[s] = struct{}{}
	e.running.Go(s.run)
	return nil
}

// leave gives a subscriber's seat back. The room ends with its last one.
func (e *Edge) leave(s *Subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subscribers, s)
	e.seats--
	s.room.leaveLocked(s.shard)
}

// Sessions is how many subscribers there are now.
func (e *Edge) Sessions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subscribers)
}

// Rooms names the rooms that have subscribers here, in no order.
func (e *Edge) Rooms() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.rooms))
}

// CloseRoom ends the subscribers of a room, for the given reason.
func (e *Edge) CloseRoom(name string, reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subscribers {
		if s.rq.Room == name {
			s.Close(reason)
		}
	}
}

// now is the time in microseconds on a clock that does not go back. It is never 0.
func (e *Edge) now() int64 { return time.Since(e.began).Microseconds() + 1 }
