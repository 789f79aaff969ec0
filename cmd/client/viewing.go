package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	// silence is how long a session may be without media before the student asks whether the room is live, and joins anew
	// if it is or if nobody answers. Of a server that cannot be asked, a session that never had any media is given twice as
	// long after each one like it, up to silenceMax: the teacher is away, and coming back often helps nobody.
	silence    = 3 * time.Second
	silenceMax = 15 * time.Second
	// viewingTick is the pause between two looks at what a session needs.
	viewingTick = 50 * time.Millisecond
	// settleTime bounds how long the end of the measurement waits for packets that are being repaired.
	settleTime = 400 * time.Millisecond
)

// viewing is one session of a student.
type viewing struct {
	// Set by newViewing, never changed.
	student *student
	again   bool // the student had media in an earlier session
	pc      *webrtc.PeerConnection
	peer    *peer
	ssrc    uint32        // of the reports
	moved   chan struct{} // closed when the node asks for a session elsewhere
	left    chan struct{} // closed when that one has media

	// Set by run before the offer is sent.
	posted time.Time

	// Guarded by the student's mu.
	streams   []*stream
	closed    bool
	firstHere time.Time // media of this session
	lastHere  time.Time
	readers   sync.WaitGroup // grows only while not closed
}

// newViewing prepares a session; nothing is sent yet.
func newViewing(s *student) (*viewing, error) {
	pc, err := s.class.api.NewPeerConnection(webrtc.Configuration{
		BundlePolicy: webrtc.BundlePolicyMaxBundle, Certificates: s.class.certs,
	})
	if err != nil {
		return nil, fmt.Errorf("open a connection: %w", err)
	}
	s.mu.Lock()
	again := !s.firstMedia.IsZero()
	s.mu.Unlock()
	v := &viewing{
		student: s, again: again, pc: pc, peer: newPeer(pc), ssrc: rand.Uint32(), moved: make(chan struct{}), left: make(chan struct{}),
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("ask for %s: %w", kind, err), pc.Close())
		}
	}
	pc.OnTrack(v.open)
	s.mu.Lock()
	s.viewings = append(s.viewings, v)
	s.mu.Unlock()
	return v, nil
}

// media reports whether any came.
func (v *viewing) media() bool {
	v.student.mu.Lock()
	defer v.student.mu.Unlock()
	return !v.firstHere.IsZero()
}

// run posts the offer and watches until ctx is done or the session ends, and says why.
func (v *viewing) run(ctx context.Context, to *url.URL, token, node string) error {
	s := v.student
	defer v.close()
	a, err := v.peer.exchange(ctx, func(ctx context.Context, offer string) (answered, error) {
		v.posted = time.Now()
		return s.class.signal.offer(ctx, to, token, offer)
	})
	// A goodbye to a node that is gone takes its time; the student does not wait for it.
	defer s.parting.Go(func() {
		if err := s.class.signal.end(ctx, a); err != nil {
			s.class.log.Debug("a student's goodbye failed", "node", a.host, "err", err)
		}
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if err := v.peer.connected(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.arrive(node, a, v.again)
	hearing, deaf := context.WithCancel(ctx)
	defer deaf()
	s.parting.Go(func() { v.listenForMove(hearing, a) })
	return v.watch(ctx, to, a)
}

// waits asks the node that serves the session whether the room waits for its teacher, so that silence is no fault.
func (v *viewing) waits(ctx context.Context, to *url.URL) bool {
	c := v.student.class
	if c.room == "" {
		return false
	}
	live, ok := c.signal.live(ctx, &url.URL{Scheme: to.Scheme, Host: to.Host}, c.room, c.cfg.Token)
	return ok && !live
}

// ask asks once how far the node is from the home, if it could not tell when it answered: a node that nobody watched at
// learns it with the first media.
func (v *viewing) ask(ctx context.Context, a answered) {
	s := v.student
	if hops, ok := s.class.signal.hops(ctx, a); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !v.closed {
			s.hops = hops
		}
	}
}

// watch keeps a session at a node that stands.
func (v *viewing) watch(ctx context.Context, to *url.URL, a answered) error {
	patience := min(silence<<min(v.student.silent, 8), silenceMax)
	connected := time.Now()
	report := connected
	unknown := hopsOf(a.header) < 0
	var waited time.Time // when the room was last known to wait for its teacher
	var returned bool    // the teacher had just returned then
	tick := time.NewTicker(viewingTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return v.settle(tick.C)
		case err := <-v.peer.down:
			return err
		case <-v.left:
			_ = v.settle(tick.C) // the end may cut it short
			return errMoved
		case now := <-tick.C:
			v.care(now, !now.Before(report))
			if !now.Before(report) {
				report = now.Add(time.Second)
			}
			last, limit := v.lastMedia(), silence
			if last.IsZero() {
				last, limit = connected, patience
			} else if unknown {
				unknown = false
				s := v.student
				s.parting.Go(func() { v.ask(ctx, a) })
			}
			if waited.After(last) {
				last, limit = waited, silence
			}
			if now.Sub(last) <= limit {
				continue
			}
			switch {
			case v.waits(ctx, to):
				returned = false
			case v.lastMedia().After(last):
				continue // it came while the node was asked
			case last.Equal(waited) && !returned:
				returned = true // the teacher is back, and the media is on its way
			default:
				return fmt.Errorf("no media for %s", limit)
			}
			waited = time.Now()
		}
	}
}

// settle ends the measurement: what is newer does not count, what is missing may still be repaired.
func (v *viewing) settle(tick <-chan time.Time) error {
	v.student.mu.Lock()
	for _, st := range v.streams {
		st.span.freeze()
	}
	v.student.mu.Unlock()
	for end := time.Now().Add(settleTime); time.Now().Before(end) && v.holes() > 0; {
		select {
		case err := <-v.peer.down:
			return err
		case now := <-tick:
			v.care(now, false)
		}
	}
	return context.Canceled
}

// holes is how many packets may still be repaired.
func (v *viewing) holes() (n int) {
	v.student.mu.Lock()
	defer v.student.mu.Unlock()
	for _, st := range v.streams {
		if st.repairs {
			n += len(st.span.holes)
		}
	}
	return n
}

// lastMedia is when the last media of this session came.
func (v *viewing) lastMedia() time.Time {
	v.student.mu.Lock()
	defer v.student.mu.Unlock()
	return v.lastHere
}

// care sends what the streams need: requests for missing packets and keyframes, and reports.
func (v *viewing) care(now time.Time, report bool) {
	var out []rtcp.Packet
	v.student.mu.Lock()
	rr := &rtcp.ReceiverReport{SSRC: v.ssrc}
	for _, st := range v.streams {
		if missing := st.wants(now, nil); len(missing) > 0 {
			out = append(out, v.nack(st, missing))
		}
		if st.wantsKeyframe(now) {
			out = append(out, &rtcp.PictureLossIndication{SenderSSRC: v.ssrc, MediaSSRC: st.ssrc})
		}
		if report && st.span.started {
			rr.Reports = append(rr.Reports, st.reception(now))
		}
	}
	v.student.mu.Unlock()
	if len(rr.Reports) > 0 {
		out = append([]rtcp.Packet{rr}, out...)
	}
	v.send(out)
}

// send sends RTCP. What cannot be sent is asked for again later; the end of the connection is told elsewhere.
func (v *viewing) send(out []rtcp.Packet) {
	if len(out) > 0 {
		_ = v.pc.WriteRTCP(out)
	}
}

// nack makes a request for missing packets.
func (v *viewing) nack(st *stream, missing []uint16) rtcp.Packet {
	return &rtcp.TransportLayerNack{
		SenderSSRC: v.ssrc, MediaSSRC: st.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(missing),
	}
}

// open begins to read a track.
func (v *viewing) open(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	c := track.Codec()
	st := &stream{
		ssrc:    uint32(track.SSRC()),
		rate:    c.ClockRate,
		video:   track.Kind() == webrtc.RTPCodecTypeVideo,
		capture: extensionID(receiver.GetParameters(), captureURI),
		key:     keyframe{codec: codecOf(c.MimeType)},
	}
	for _, f := range c.RTCPFeedback {
		st.repairs = st.repairs || strings.EqualFold(f.Type, "nack") && f.Parameter == ""
	}
	v.student.mu.Lock()
	defer v.student.mu.Unlock()
	if v.closed {
		return
	}
	v.streams = append(v.streams, st)
	v.readers.Go(func() { v.read(track, st) })
	v.readers.Go(func() { v.listen(receiver, st) })
}

// read takes the packets of a track until the connection is closed. A packet that cannot be read is passed over; many in a
// row are the end.
func (v *viewing) read(track *webrtc.TrackRemote, st *stream) {
	buf := make([]byte, 1600)
	var h rtp.Header
	var missing []uint16
	for bad := 0; bad < 32; {
		n, _, err := track.Read(buf)
		if err != nil {
			bad++
			continue
		}
		bad = 0
		if missing = v.take(st, &h, buf[:n], time.Now(), missing[:0]); len(missing) > 0 {
			v.send([]rtcp.Packet{v.nack(st, missing)})
		}
	}
}

// take counts a packet and returns, in missing, what to ask for.
func (v *viewing) take(st *stream, h *rtp.Header, packet []byte, now time.Time, missing []uint16) []uint16 {
	s, c := v.student, v.student.class
	s.mu.Lock()
	defer s.mu.Unlock()
	a := st.take(h, packet, now)
	if a.fresh {
		s.bytes += uint64(len(packet))
	}
	if a.media {
		if s.firstMedia.IsZero() {
			s.firstMedia = now
			c.firstPacket.add(now.Sub(v.posted))
		} else {
			s.longest = max(s.longest, now.Sub(s.lastMedia))
		}
		if v.firstHere.IsZero() {
			v.firstHere = now
			if b := s.before; b != nil && b != v {
				s.before = nil
				close(b.left)
			}
		}
		s.lastMedia, v.lastHere = now, now
	}
	if a.keyframe && !s.watching {
		s.watching = true
		if !v.again {
			c.firstKeyframe.add(now.Sub(v.posted))
		}
	}
	if a.captured > v.posted.UnixMicro() {
		c.latency.add(time.Duration(now.UnixMicro()-a.captured) * time.Microsecond)
	}
	return st.wants(now, missing)
}

// listen reads the sender reports of a track until the connection is closed.
func (v *viewing) listen(receiver *webrtc.RTPReceiver, st *stream) {
	for bad := 0; bad < 32; {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			bad++
			continue
		}
		bad = 0
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == st.ssrc {
				v.student.mu.Lock()
				st.report, st.reported = uint32(sr.NTPTime>>16), time.Now()
				v.student.mu.Unlock()
			}
		}
	}
}

// close ends the session and adds it to what the student counted.
func (v *viewing) close() {
	s := v.student
	s.mu.Lock()
	v.closed = true
	s.mu.Unlock()
	_ = v.pc.Close() // what it says is about sockets that are gone
	v.readers.Wait()
	s.mu.Lock()
	for _, st := range v.streams {
		s.tally.add(&st.span)
	}
	s.viewings = slices.DeleteFunc(s.viewings, func(o *viewing) bool { return o == v })
	s.mu.Unlock()
}
