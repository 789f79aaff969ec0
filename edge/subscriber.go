package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/edge/fan"
	"lyceum/mesh/media"
)

// Subscriber is one student's session.
type Subscriber struct {
	// Set by newSubscriber, never changed.
	edge    *Edge
	rq      SubscribeRequest
	pc      *webrtc.PeerConnection
	parts   []part
	legs    []*leg
	senders []*webrtc.RTPSender // one for each leg
	since   time.Time
	changed chan struct{} // poked when the connection's state or path changes
	closing chan struct{} // closed by Close
	done    chan struct{}
	away    chan struct{} // closed when it is to watch elsewhere

	// Set by Edge.enter before run, never changed.
	room  *room
	shard *shard

	// Guarded by Edge.mu.
	asked bool // to watch elsewhere

	once   sync.Once
	reason error // set before closing is closed

	keys fan.Keys // what the connection agreed upon, for the media that is sealed here

	// Owned by run.
	path      *fan.Path      // nil when the connection seals and sends the media
	ear       *fan.Ear       // nil when the connection opens the feedback
	listeners sync.WaitGroup // to that feedback

	signal sync.Mutex // one offer at a time

	sources, channels atomic.Int32 // that the subscriber has named and opened
	listening         atomic.Bool  // the connection opens the feedback
	ears              atomic.Int32 // those that are told when it is to watch elsewhere
}

// newSubscriber makes a peer connection and its answer. What it makes is closed again if it fails.
func (e *Edge) newSubscriber(ctx context.Context, rq SubscribeRequest, began int64) (_ *Subscriber, answer string, err error) {
	o, err := readOffer(rq.Offer)
	if err != nil {
		return nil, "", err
	}
	rq.Offer = "" // it is large, and of no use any more
	var cfg webrtc.Configuration
	if e.cfg.Certificate != nil {
		cfg.Certificates = []webrtc.Certificate{*e.cfg.Certificate}
	}
	s := &Subscriber{
		edge: e, rq: rq, since: time.Now(),
		changed: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}), away: make(chan struct{}),
	}
	pc, err := e.api(o, s).NewPeerConnection(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("make a peer connection: %w", err)
	}
	defer func() {
		if err != nil {
			_ = pc.Close() // it never opened
		}
	}()
	s.pc = pc
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { s.poke() })
	pc.OnDataChannel(func(*webrtc.DataChannel) { s.newChannel() })
	remote := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp}
	if err := pc.SetRemoteDescription(remote); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	var ends []*sender
	for _, part := range o.parts {
		end := newSender(part, rq.Room)
		rtpSender, err := pc.AddTrack(end)
		if err != nil {
			return nil, "", fmt.Errorf("%w: add the %s: %w", ErrOffer, end.id, err)
		}
		ends = append(ends, end)
		s.senders = append(s.senders, rtpSender)
	}
	s.transport().OnSelectedCandidatePairChange(func(*webrtc.ICECandidatePair) { s.poke() })
	if answer, err = s.answer(ctx); err != nil {
		return nil, "", err
	}
	pictures := &network{}
	for i, end := range ends {
		out := end.bound.Load()
		if out == nil {
			return nil, "", fmt.Errorf("%w: there is no codec in common for the %s", ErrOffer, end.id)
		}
		net := pictures
		if o.parts[i].kind == media.Audio {
			net = &network{}
		}
		l := newLeg(o.parts[i].kind, out, net, pc.WriteRTCP, began)
		if l.kind == media.Video {
			net.legs = append(net.legs, l)
		}
		s.legs = append(s.legs, l)
	}
	s.parts = o.parts
	return s, answer, nil
}

// answer answers the offer that is set, with all candidates.
func (s *Subscriber) answer(ctx context.Context) (string, error) {
	a, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(a); err != nil {
		if errors.Is(err, errNoCodec) {
			return "", fmt.Errorf("%w: %w", ErrOffer, err)
		}
		return "", fmt.Errorf("set the answer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	return s.pc.LocalDescription().SDP, nil
}

// Hops is how many links are between this node and the home of the room. It is not known while nobody publishes, nor before
// the room's first news has come to this node.
func (s *Subscriber) Hops() (hops int, known bool) {
	for _, p := range s.shard.pumps {
		if st := p.track.State(); st.Live {
			return st.Hops, true
		}
	}
	return 0, false
}

// Sharing reports whether a screen is shared in the room, be it still or not: a picture that stands tells a player nothing.
func (s *Subscriber) Sharing() bool { return s.shard.pumps[media.Screen].track.State().Live }

// Trickle adds candidates of the client, each "candidate:..." as in SDP. Those that cannot be used are passed over.
func (s *Subscriber) Trickle(candidates []string) {
	s.signal.Lock()
	defer s.signal.Unlock()
	for _, c := range candidates {
		if err := s.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c}); err != nil {
			s.edge.cfg.Logger.Debug("candidate passed over", "room", s.rq.Room, "subject", s.rq.Subject, "err", err)
		}
	}
}

// Restart begins a new ICE generation with the offer's credentials and returns the answer to it.
func (s *Subscriber) Restart(ctx context.Context, text string) (string, error) {
	s.signal.Lock()
	defer s.signal.Unlock()
	o, err := readOffer(text)
	if err != nil {
		return "", fmt.Errorf("restart: %w", err)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp}); err != nil {
		return "", fmt.Errorf("restart: %w: %w", ErrOffer, err)
	}
	answer, err := s.answer(ctx)
	if err != nil {
		return "", fmt.Errorf("restart: %w", err)
	}
	return answer, nil
}

// Close ends the session; only the first reason counts. Done is closed when everything has ended.
func (s *Subscriber) Close(reason error) {
	s.once.Do(func() {
		s.reason = reason
		close(s.closing)
	})
}

// Done is closed when the session has ended, for whatever reason.
func (s *Subscriber) Done() <-chan struct{} { return s.done }

// run is the subscriber's life.
func (s *Subscriber) run() {
	defer close(s.done)
	defer s.edge.leave(s)
	for _, l := range s.legs {
		s.shard.enter(l)
	}
	s.follow()
	s.deafen()
	if s.ear != nil {
		s.ear.Close()
	}
	for _, l := range s.legs {
		l.setOpen(false, s.edge.now())
		s.shard.exit(l)
	}
	if err := s.pc.Close(); err != nil {
		s.edge.cfg.Logger.Debug("subscriber did not close well", "room", s.rq.Room, "subject", s.rq.Subject, "err", err)
	}
	s.listeners.Wait()
	s.edge.metrics.ended(s.reason)
	s.edge.cfg.Logger.Info("subscriber ends", "room", s.rq.Room, "subject", s.rq.Subject, "reason", s.reason,
		"seconds", int(time.Since(s.since).Seconds()))
}
