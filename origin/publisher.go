package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

// The rhythm of a publisher's own goroutine: missing packets are looked for every tick, bitrates are measured and sizes
// announced every measureTicks of them.
const (
	tick         = 20 * time.Millisecond
	measureTicks = 50
)

// Publisher is one person who sends a camera, a microphone or both into a room, or a screen.
type Publisher struct {
	// Set by newPublisher and enter, never changed.
	o      *Origin
	rq     PublishRequest
	pc     *webrtc.PeerConnection
	since  time.Time
	source uint32
	video  bool // what the offer holds
	audio  bool

	ready     chan struct{} // closed by run when the feeds are there
	connected chan struct{} // closed at the first connection
	closing   chan struct{} // closed by Close
	done      chan struct{} // closed by run at its end
	once      sync.Once     // for connected
	readers   sync.WaitGroup

	// Set by run before ready is closed.
	picture, sound *feed

	heard atomic.Int64 // when media came last, in nanoseconds since the Unix epoch; 0 is never

	mu sync.Mutex
	// Guarded by mu.
	reason error // why it closes
	live   int   // layers that are being read
	gone   bool  // no more readers may start

	turn sync.Mutex // one restart at a time
	// Guarded by turn.
	offer string
}

// maxChannels bounds the data channels of a publisher. Some pages always open one; none carries anything here.
const maxChannels = 4

func (o *Origin) newPublisher(ctx context.Context, rq PublishRequest) (*Publisher, string, error) {
	api, err := o.api(rq.Offer)
	if err != nil {
		return nil, "", err
	}
	var cfg webrtc.Configuration
	if o.cfg.Certificate != nil {
		cfg.Certificates = []webrtc.Certificate{*o.cfg.Certificate}
	}
	pc, err := api.NewPeerConnection(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("make a peer connection: %w", err)
	}
	p := &Publisher{
		o: o, rq: rq, pc: pc, since: o.cfg.Now(), offer: rq.Offer,
		ready: make(chan struct{}), connected: make(chan struct{}), closing: make(chan struct{}), done: make(chan struct{}),
	}
	pc.OnTrack(p.begin)
	opened := 0
	pc.OnDataChannel(func(*webrtc.DataChannel) { // called by one goroutine of the connection
		if opened++; opened > maxChannels {
			p.Close(ErrExcess)
		}
	})
	pc.OnConnectionStateChange(p.changed)
	answer, err := p.answer(ctx, rq.Offer)
	if err != nil {
		_ = pc.Close() // it never opened
		return nil, "", err
	}
	for _, t := range pc.GetTransceivers() {
		p.video = p.video || t.Kind() == webrtc.RTPCodecTypeVideo
		p.audio = p.audio || t.Kind() == webrtc.RTPCodecTypeAudio
	}
	return p, answer, nil
}

// answer takes an offer in and returns the answer with all candidates.
func (p *Publisher) answer(ctx context.Context, offer string) (string, error) {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	select {
	case <-gathered:
		return p.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("gather candidates: %w", ctx.Err())
	}
}

// Trickle adds candidates of the publisher. Those that cannot be used are passed over.
func (p *Publisher) Trickle(f wish.Fragment) error {
	mid := f.Mid
	for _, c := range f.Candidates {
		err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c, SDPMid: &mid})
		if err != nil && p.pc.ConnectionState() == webrtc.PeerConnectionStateClosed {
			return fmt.Errorf("add a candidate: %w", err)
		}
	}
	return nil
}

// Restart begins a new ICE generation. Media pauses for the round trips that it takes to find the new path.
func (p *Publisher) Restart(ctx context.Context, f wish.Fragment) (wish.Fragment, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	offer := f.Into(p.offer)
	answer, err := p.answer(ctx, offer)
	if err != nil {
		return wish.Fragment{}, fmt.Errorf("restart ICE of the publisher in room %s: %w", p.rq.Room, err)
	}
	p.offer = offer
	return wish.FragmentOf(answer)
}

// Close ends the publisher for a reason; Done follows soon. Only the first reason counts.
func (p *Publisher) Close(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason == nil {
		p.reason = reason
		close(p.closing)
	}
}

// isClosing says whether Close was called.
func (p *Publisher) isClosing() bool {
	select {
	case <-p.closing:
		return true
	default:
		return false
	}
}

// Done is closed when the publisher has ended and its tracks know it.
func (p *Publisher) Done() <-chan struct{} { return p.done }

// Err is why the publisher ended, or nil while it has not.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// Stats is the publisher for /status.
func (p *Publisher) Stats() RoomStatus {
	s := RoomStatus{Room: p.rq.Room, Source: p.rq.Source, Subject: p.rq.Subject, Name: p.rq.Name, Since: p.since, Tracks: []TrackStatus{}}
	select {
	case <-p.connected:
		s.Connected = true
	default:
	}
	select {
	case <-p.ready:
	default:
		return s
	}
	for _, f := range p.feeds() {
		s.Tracks = append(s.Tracks, f.status())
	}
	return s
}

// feeds is for after ready.
func (p *Publisher) feeds() []*feed {
	var list []*feed
	for _, f := range []*feed{p.picture, p.sound} {
		if f != nil {
			list = append(list, f)
		}
	}
	return list
}

// run is the life of a publisher, from the end of the one before it to its own.
func (p *Publisher) run(before *Publisher) {
	defer close(p.done)
	if before != nil {
		<-before.done // a track has one writer
	}
	picture, sound := p.rq.Source.tracks()
	if p.video {
		p.picture = newFeed(p.o.cfg.Hub, media.TrackID{Room: p.rq.Room, Name: picture}, media.Video, p.source, p.o.metrics)
	}
	if p.audio {
		p.sound = newFeed(p.o.cfg.Hub, media.TrackID{Room: p.rq.Room, Name: sound}, media.Audio, p.source, p.o.metrics)
	}
	close(p.ready)
	p.serve()
	_ = p.pc.GracefulClose() // there is nobody left to tell
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.readers.Wait()
	for _, f := range p.feeds() {
		f.end()
	}
	p.o.leave(p)
	err := p.Err()
	p.o.metrics.ended.WithLabelValues(reason(err)).Inc()
	p.o.cfg.Logger.Info("publisher ends", "room", p.rq.Room, "source", string(p.rq.Source), "subject", p.rq.Subject, "err", err)
}

// serve asks the publisher for what is missing until it closes.
func (p *Publisher) serve() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	deadline := time.NewTimer(p.o.cfg.ConnectTimeout)
	defer deadline.Stop()
	var demands [2]<-chan struct{} // a nil channel is never ready
	feeds := p.feeds()
	for i, f := range feeds {
		demands[i] = f.track.Demands()
	}
	var out []rtcp.Packet
	for n := 1; ; n++ {
		out = out[:0]
		select {
		case <-p.closing:
			return
		case <-deadline.C:
			select {
			case <-p.connected:
			default:
				p.Close(ErrUnconnected)
			}
		case <-demands[0]:
			out = feeds[0].keyframes(out)
		case <-demands[1]:
			out = feeds[1].keyframes(out)
		case now := <-ticker.C:
			for _, f := range feeds {
				out = f.nacks(now, out)
				if n%measureTicks == 0 {
					f.measure(now)
				}
			}
		}
		if len(out) > 0 {
			_ = p.pc.WriteRTCP(out) // a loss like any other on the way
		}
	}
}

// changed follows the state of the connection.
func (p *Publisher) changed(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		p.once.Do(func() { close(p.connected) })
	case webrtc.PeerConnectionStateFailed:
		p.Close(ErrLost)
	case webrtc.PeerConnectionStateClosed:
		p.Close(ErrLeft)
	}
}

// begin is called for each layer, by its first packets. It reads until the publisher ends.
func (p *Publisher) begin(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	select {
	case <-p.ready:
	case <-p.closing:
		return
	}
	f := p.sound
	if remote.Kind() == webrtc.RTPCodecTypeVideo {
		f = p.picture
	}
	p.mu.Lock()
	if p.gone || f == nil {
		p.mu.Unlock()
		return
	}
	p.live++
	p.readers.Add(2)
	p.mu.Unlock()
	codec := codecOf(remote)
	l := &layer{ssrc: uint32(remote.SSRC()), rid: remote.RID()}
	for _, e := range receiver.GetParameters().HeaderExtensions {
		switch e.URI {
		case wish.AbsCaptureTime:
			l.capture = uint8(e.ID)
		case wish.DependencyDescriptor:
			l.dependency = &dependency{id: uint8(e.ID)}
		}
	}
	for _, fb := range remote.Codec().RTCPFeedback {
		l.nack = l.nack || fb.Type == "nack" && fb.Parameter == ""
	}
	l = f.add(l, codec, p.o.cfg.Now())
	go func() {
		defer p.readers.Done()
		p.readReports(receiver, f, l, remote.RID())
	}()
	go func() {
		defer p.readers.Done()
		p.read(remote, f, l)
		p.mu.Lock()
		p.live--
		last := p.live == 0
		p.mu.Unlock()
		if last {
			p.Close(ErrLeft) // the DTLS session was closed by the other side, and with it all streams
		}
	}()
}

// read is one layer's way in. A nil layer is one too many; it is read, since what is read keeps the others flowing.
func (p *Publisher) read(remote *webrtc.TrackRemote, f *feed, l *layer) {
	buf := make([]byte, 2048)
	var packet rtp.Packet
	payloadType := remote.PayloadType()
	for bad := 0; ; {
		n, _, err := remote.Read(buf)
		if err == nil {
			err = packet.Unmarshal(buf[:n])
		}
		if err != nil { // a payload type that was not agreed, for example
			if bad++; p.over(err, bad) {
				return
			}
			continue
		}
		bad = 0
		if l == nil {
			p.o.metrics.surplus.Inc()
			continue
		}
		if pt := remote.PayloadType(); pt != payloadType {
			payloadType = pt
			f.recode(l, codecOf(remote))
		}
		now := p.o.cfg.Now()
		p.heard.Store(now.UnixNano())
		out := l.receive(&packet, now)
		if out.packet != nil && !f.track.Write(out.packet) {
			p.o.metrics.refused.Inc()
		}
		if out.resized {
			f.measure(now)
		}
	}
}

// holds reports whether the publisher sends, or may be about to begin.
func (p *Publisher) holds(now time.Time) bool {
	if at := p.heard.Load(); at != 0 {
		return now.Sub(time.Unix(0, at)) < quiet
	}
	return now.Sub(p.since) < patience
}

// readReports reads a layer's sender reports.
func (p *Publisher) readReports(receiver *webrtc.RTPReceiver, f *feed, l *layer, rid string) {
	for bad := 0; ; {
		var packets []rtcp.Packet
		var err error
		if rid == "" {
			packets, _, err = receiver.ReadRTCP()
		} else {
			packets, _, err = receiver.ReadSimulcastRTCP(rid)
		}
		if err != nil {
			if bad++; p.over(err, bad) {
				return
			}
			continue
		}
		bad = 0
		for _, packet := range packets {
			if sr, ok := packet.(*rtcp.SenderReport); ok && l != nil && sr.SSRC == l.ssrc {
				c := media.Clock{NTP: sr.NTPTime, RTP: sr.RTPTime}
				l.reported(c)
				f.track.Report(l.index, c)
			}
		}
	}
}

// maxBad is how many packets in a row may be malformed before their stream is given up.
const maxBad = 1000

// over says whether an error means that a stream has ended, and counts it if not.
func (p *Publisher) over(err error, bad int) bool {
	if p.isClosing() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || bad > maxBad {
		return true
	}
	p.o.metrics.malformed.Inc()
	return false
}

func codecOf(remote *webrtc.TrackRemote) media.Codec {
	c := remote.Codec()
	return media.Codec{MimeType: c.MimeType, ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: c.SDPFmtpLine}
}

// reason is a word for the metrics.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrLost):
		return "lost"
	case errors.Is(err, ErrLeft):
		return "left"
	case errors.Is(err, ErrReplaced):
		return "replaced"
	case errors.Is(err, ErrUnconnected):
		return "unconnected"
	case errors.Is(err, ErrExcess):
		return "excess"
	case errors.Is(err, ErrClosed):
		return "shutdown"
	}
	return "other"
}
