package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

var (
	// ErrOccupied: somebody publishes in the room already.
	ErrOccupied = errors.New("another teacher is already publishing in this room")
	// ErrSource: there is no such source.
	ErrSource = errors.New(`a publication is of the "camera", which is meant without a word, or of the "screen"`)
	// ErrOffer: the publisher's SDP offer cannot be answered.
	ErrOffer = errors.New("the SDP offer cannot be answered")
	// ErrClosed: the node is shutting down.
	ErrClosed = errors.New("the node is shutting down")
	// ErrReplaced: the same person publishes anew.
	ErrReplaced = errors.New("the publisher was replaced by a new session of the same person")
	// ErrLost: the publisher is no longer heard of.
	ErrLost = errors.New("the connection to the publisher was lost")
	// ErrUnconnected: the publisher never connected after its answer.
	ErrUnconnected = errors.New("the publisher did not connect")
	// ErrExcess: the publisher opens one data channel after the other.
	ErrExcess = errors.New("the publisher opened more data channels than it has a use for")
	// ErrLeft: the publisher said goodbye.
	ErrLeft = errors.New("the publisher left")
)

// Origin is the publishers of this node, in each room at most one of the camera and one of the screen.
type Origin struct {
	// Set by New, never changed.
	cfg     Config
	metrics *metrics
	running sync.WaitGroup // one for each publisher

	mu sync.Mutex
	// Guarded by mu.
	seats  map[seat]*Publisher
	source uint32 // the last one given
	closed bool
}

// seat is what one publisher at most can have.
type seat struct {
	room   string
	source Source
}

// Source is what a publication shows.
type Source string

// The sources of a room. A teacher may publish both at once, each in a session of its own.
const (
	FromCamera Source = "camera" // and its microphone
	FromScreen Source = "screen" // and what is heard from it
)

// tracks names the tracks of a source.
func (s Source) tracks() (picture, sound string) {
	if s == FromScreen {
		return media.Screen, media.ScreenSound
	}
	return media.Camera, media.Microphone
}

// New makes an origin without publishers.
func New(cfg Config) (*Origin, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("receive publishers: %w", err)
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
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	o := &Origin{cfg: cfg, seats: map[seat]*Publisher{}}
	o.metrics = newMetrics(cfg.Registerer, o)
	return o, nil
}

// Run waits until ctx is done, then ends all publishers and waits for their end.
func (o *Origin) Run(ctx context.Context) error {
	<-ctx.Done()
	o.mu.Lock()
	o.closed = true
	publishers := make([]*Publisher, 0, len(o.seats))
	for _, p := range o.seats {
		publishers = append(publishers, p)
	}
	o.mu.Unlock()
	for _, p := range publishers {
		p.Close(ErrClosed)
	}
	o.running.Wait()
	return nil
}

// PublishRequest is who publishes where.
type PublishRequest struct {
	// Room is the room's name.
	Room string
	// Subject is the person; the same person may replace a session of its own.
	Subject string
	// Name is what others see.
	Name string
	// Source is what is published; "" is FromCamera.
	Source Source
	// Offer is the SDP offer, checked by wish.CheckOffer.
	Offer string
}

// seat is what the publisher needs.
func (rq *PublishRequest) seat() seat { return seat{rq.Room, rq.Source} }

// A session of the same person is replaced by a new one when it has sent nothing for quiet, or has not begun to send
// within patience. A browser that was closed or an encoder that crashed sends nothing from that moment on; one that sends,
// or is about to, is somebody's class. OBS and browsers send within a second or two of their answer.
const (
	quiet    = time.Second
	patience = 5 * time.Second
)

// Publish makes a publisher and the SDP answer for it, with all candidates. A session of the same person for the same source
// that has gone quiet ends: its browser was reloaded, or its encoder restarted. Whoever else comes gets ErrOccupied.
func (o *Origin) Publish(ctx context.Context, rq PublishRequest) (*Publisher, string, error) {
	switch rq.Source {
	case FromCamera, FromScreen:
	case "":
		rq.Source = FromCamera
	default:
		return nil, "", fmt.Errorf("publish in room %s: %w", rq.Room, ErrSource)
	}
	if err := o.free(rq); err != nil {
		return nil, "", fmt.Errorf("publish in room %s: %w", rq.Room, err)
	}
	p, answer, err := o.newPublisher(ctx, rq)
	if err != nil {
		return nil, "", fmt.Errorf("publish in room %s: %w", rq.Room, err)
	}
	if err := o.enter(p); err != nil {
		_ = p.pc.Close() // it never opened
		return nil, "", fmt.Errorf("publish in room %s: %w", rq.Room, err)
	}
	o.cfg.Logger.Info("publisher begins", "room", rq.Room, "source", string(rq.Source), "subject", rq.Subject)
	return p, answer, nil
}

// free refuses what enter would refuse, before any work.
func (o *Origin) free(rq PublishRequest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.freeLocked(rq)
}

func (o *Origin) freeLocked(rq PublishRequest) error {
	if o.closed {
		return ErrClosed
	}
	p := o.seats[rq.seat()]
	if p == nil || p.isClosing() {
		return nil
	}
	if p.rq.Subject != rq.Subject || p.holds(o.cfg.Now()) {
		return ErrOccupied
	}
	return nil
}

// enter gives the room to a publisher and starts it. It waits for the end of the one before it by itself.
func (o *Origin) enter(p *Publisher) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.freeLocked(p.rq); err != nil {
		return err
	}
	o.source = max(o.source+1, uint32(p.since.Unix()))
	p.source = o.source
	before := o.seats[p.rq.seat()]
	o.seats[p.rq.seat()] = p
	if before != nil {
		before.Close(ErrReplaced)
	}
	o.running.Go(func() { p.run(before) })
	return nil
}

// leave gives the room back.
func (o *Origin) leave(p *Publisher) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seats[p.rq.seat()] == p {
		delete(o.seats, p.rq.seat())
	}
}

// Publishers is how many publishers there are now.
func (o *Origin) Publishers() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seats)
}

// Rooms lists the rooms that have a publisher here, in the order of their names.
func (o *Origin) Rooms() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	rooms := map[string]bool{}
	for at := range o.seats {
		rooms[at.room] = true
	}
	return slices.Sorted(maps.Keys(rooms))
}

// CloseRoom ends the publishers of a room, for a reason such as that the room has another home now.
func (o *Origin) CloseRoom(room string, reason error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at, p := range o.seats {
		if at.room == room {
			p.Close(reason)
		}
	}
}

// Status lists the publishers by room.
func (o *Origin) Status() []RoomStatus {
	o.mu.Lock()
	publishers := make([]*Publisher, 0, len(o.seats))
	for _, p := range o.seats {
		publishers = append(publishers, p)
	}
	o.mu.Unlock()
	list := make([]RoomStatus, 0, len(publishers))
	for _, p := range publishers {
		list = append(list, p.Stats())
	}
	slices.SortFunc(list, func(a, b RoomStatus) int { return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Source, b.Source)) })
	return list
}

// api makes what one peer connection is made of. The interceptors are those that a receiver needs: reports, and feedback
// for the publisher's estimate of its bandwidth. Missing packets are asked for by the layers themselves.
func (o *Origin) api(offer string) (*webrtc.API, error) {
	engine, err := mediaEngine(offer)
	if err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, fmt.Errorf("make receiver reports: %w", err)
	}
	registry.Add(reports)
	if err := webrtc.ConfigureTWCCSender(engine, registry); err != nil {
		return nil, fmt.Errorf("make transport feedback: %w", err)
	}
	settings := o.cfg.Engine()
	settings.DetachDataChannels() // else each costs 64 KiB for a message that nobody reads
	settings.SetSCTPMaxReceiveBufferSize(16 << 10)
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings)), nil
}
