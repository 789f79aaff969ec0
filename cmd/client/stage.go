package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

const (
	// payloadMTU is the largest RTP payload that is sent, in bytes: what fits a 1,280 byte path with all headers.
	payloadMTU = 1180
	// packetGap is the pause between two packets of a frame; a frame is spread over no more than frameSpread, so that
	// keyframes do not come in bursts that a queue on the way has to swallow.
	packetGap   = 250 * time.Microsecond
	frameSpread = 12 * time.Millisecond
	// stageLag is how late the stage may be, after the machine slept for example, before it skips what it did not play.
	stageLag = time.Second
	// reportEvery is the pause between sender reports.
	reportEvery = time.Second
)

// stage plays a clip into one PeerConnection.
type stage struct {
	// Set by newStage and agree, never changed after.
	pub    *publisher
	pc     *webrtc.PeerConnection
	video  []*source // as the clip's layers
	audio  *source   // nil without sound
	mid    string
	skip   int // how many of the smaller layers the server did not take
	videoE extensions
	audioE extensions

	// Set by the readers of RTCP, taken by run.
	wanted atomic.Bool

	// Started by run.
	readers sync.WaitGroup

	// Owned by run.
	player  player
	start   time.Time
	wall    int64 // start in microseconds since the Unix epoch
	frames  int   // presented
	sounds  int   // presented
	waiting []waiting
}

// source is one RTP stream that is sent.
type source struct {
	track     *webrtc.TrackLocalStaticRTP
	sender    *webrtc.RTPSender
	rid       string
	ssrc      uint32
	rate      uint32
	base      uint32 // RTP timestamp at the start
	sequence  uint16
	payloader rtp.Payloader
	packets   uint32
	octets    uint32
}

// extensions are the agreed numbers of header extensions; 0 is one that was not agreed on.
type extensions struct{ mid, rid, capture uint8 }

// waiting is a packet that is due later.
type waiting struct {
	source *source
	due    time.Duration
	packet *rtp.Packet
}

// newStage adds the clip's tracks to a PeerConnection that has made no offer yet.
func newStage(pc *webrtc.PeerConnection, pub *publisher) (*stage, error) {
	s := &stage{pub: pub, pc: pc, player: player{clip: pub.clip}}
	const stream = "lecture"
	var sender *webrtc.RTPSender
	for i, l := range pub.clip.layers {
		var opts []func(*webrtc.TrackLocalStaticRTP)
		if len(pub.clip.layers) > 1 {
			opts = append(opts, webrtc.WithRTPStreamID(l.rid))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
			media.Camera, stream, opts...)
		if err != nil {
			return nil, fmt.Errorf("make the track of layer %s: %w", l.rid, err)
		}
		if i == 0 {
			t, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			if err != nil {
				return nil, fmt.Errorf("add the picture: %w", err)
			}
			sender = t.Sender()
		} else if err := sender.AddEncoding(track); err != nil {
			return nil, fmt.Errorf("add layer %s: %w", l.rid, err)
		}
		s.video = append(s.video, &source{
			track: track, sender: sender, rid: track.RID(), rate: 90000,
			base: rand.Uint32(), sequence: uint16(rand.Uint32()), payloader: &codecs.VP8Payloader{EnablePictureID: true},
		})
	}
	if pub.clip.sound == nil {
		return s, nil
	}
	track, err := webrtc.NewTrackLocalStaticRTP(opusCodec.RTPCodecCapability, media.Microphone, stream)
	if err != nil {
		return nil, fmt.Errorf("make the sound's track: %w", err)
	}
	t, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, fmt.Errorf("add the sound: %w", err)
	}
	s.audio = &source{
		track: track, sender: t.Sender(), rate: 48000,
		base: rand.Uint32(), sequence: uint16(rand.Uint32()), payloader: &codecs.OpusPayloader{},
	}
	return s, nil
}

// agree learns from the answer which extensions and layers the server takes, and returns the number of layers.
func (s *stage) agree(answer string) int {
	for _, t := range s.pc.GetTransceivers() {
		p := t.Sender().GetParameters()
		e := extensions{
			mid:     extensionID(p.RTPParameters, sdp.SDESMidURI),
			rid:     extensionID(p.RTPParameters, sdp.SDESRTPStreamIDURI),
			capture: extensionID(p.RTPParameters, captureURI),
		}
		if t.Kind() == webrtc.RTPCodecTypeVideo {
			s.videoE, s.mid = e, t.Mid()
			for i, v := range s.video {
				v.ssrc = uint32(p.Encodings[i].SSRC)
			}
		} else {
			s.audioE = e
			s.audio.ssrc = uint32(p.Encodings[0].SSRC)
		}
	}
	if len(s.video) > 1 && !strings.Contains(answer, "a=simulcast:recv") {
		s.skip = len(s.video) - 1
	}
	return len(s.video) - s.skip
}

// run plays until ctx is done or down tells why the connection ended; tick is called each second. What it started ends when
// the PeerConnection is closed, and is waited for by readers.
func (s *stage) run(ctx context.Context, down <-chan error, tick func()) error {
	for _, v := range s.all() {
		s.readers.Go(func() { s.listen(v) })
	}
	s.start = time.Now()
	s.wall = s.start.UnixMicro()
	timer := time.NewTimer(0)
	defer timer.Stop()
	report, state := time.Duration(0), stateEvery
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-down:
			return err
		case <-timer.C:
		}
		now := time.Since(s.start)
		next := s.play(now)
		if now >= report {
			if err := s.report(now); err != nil {
				return err
			}
			report = now + reportEvery
		}
		if now >= state {
			tick()
			state = now + stateEvery
		}
		timer.Reset(max(next-time.Since(s.start), 0))
	}
}

// all are the sources that are sent, largest layers last.
func (s *stage) all() []*source {
	all := append([]*source(nil), s.video[s.skip:]...)
	if s.audio != nil {
		all = append(all, s.audio)
	}
	return all
}

// play sends what is due and returns when the next is.
func (s *stage) play(now time.Duration) (next time.Duration) {
	if due := s.due(s.frames); now-due > stageLag {
		s.frames = int(now/s.pub.clip.frame) + 1
		s.sounds = int(now/soundPacket) + 1
		s.wanted.Store(true)
	}
	for ; s.due(s.frames) <= now; s.frames++ {
		s.present(s.frames)
	}
	if s.audio != nil {
		for ; time.Duration(s.sounds)*soundPacket <= now; s.sounds++ {
			due := time.Duration(s.sounds) * soundPacket
			if p := s.player.sound(s.sounds); p != nil {
				s.send(s.audio, s.packet(s.audio, due, p, true))
			}
		}
	}
	sent := 0
	for _, w := range s.waiting {
		if w.due > now {
			break
		}
		s.send(w.source, w.packet)
		sent++
	}
	s.waiting = s.waiting[:copy(s.waiting, s.waiting[sent:])]

	next = s.due(s.frames)
	if s.audio != nil {
		next = min(next, time.Duration(s.sounds)*soundPacket)
	}
	if len(s.waiting) > 0 {
		next = min(next, s.waiting[0].due)
	}
	return next
}

// due is when a frame is shown, from the start.
func (s *stage) due(frame int) time.Duration { return time.Duration(frame) * s.pub.clip.frame }

// present packs a frame of every layer, smallest first, and spreads the packets over the next milliseconds.
func (s *stage) present(n int) {
	at := s.player.frame(n, s.wanted.Swap(false))
	due := s.due(n)
	first := len(s.waiting)
	for i, v := range s.video {
		if i < s.skip {
			continue
		}
		parts := v.payloader.Payload(payloadMTU, s.pub.clip.layers[i].frames[at])
		for j, part := range parts {
			s.waiting = append(s.waiting, waiting{source: v, due: due, packet: s.packet(v, due, part, j == len(parts)-1)})
		}
	}
	fresh := s.waiting[first:]
	gap := min(packetGap, frameSpread/time.Duration(max(len(fresh), 1)))
	for i := range fresh {
		fresh[i].due += time.Duration(i) * gap
	}
}

// packet makes the next packet of a source; due is when its media was captured.
func (s *stage) packet(v *source, due time.Duration, payload []byte, marker bool) *rtp.Packet {
	p := &rtp.Packet{
		Header: rtp.Header{
			Version: 2, Marker: marker && v != s.audio, SequenceNumber: v.sequence, Timestamp: v.at(due),
		},
		Payload: payload,
	}
	v.sequence++
	e := s.videoE
	if v == s.audio {
		e = s.audioE
	}
	// The errors are about identifiers and lengths that are fixed here.
	if v.rid != "" && e.rid != 0 && e.mid != 0 {
		_ = p.SetExtension(e.mid, []byte(s.mid))
		_ = p.SetExtension(e.rid, []byte(v.rid))
	}
	if e.capture != 0 {
		stamp, err := rtp.AbsCaptureTimeExtension{Timestamp: media.NTPFromMicros(s.wall + due.Microseconds())}.Marshal()
		if err == nil {
			_ = p.SetExtension(e.capture, stamp)
		}
	}
	return p
}

// at is the RTP timestamp of a moment.
func (v *source) at(d time.Duration) uint32 {
	return v.base + uint32(uint64(d.Microseconds())*uint64(v.rate)/1e6)
}

// send hands a packet to the network. What cannot be sent is lost, as on any network; the end of the connection is told
// elsewhere.
func (s *stage) send(v *source, p *rtp.Packet) {
	size := len(p.Payload)
	if v.track.WriteRTP(p) != nil {
		return
	}
	v.packets++
	v.octets += uint32(size)
	s.pub.packets.Add(1)
	s.pub.bytes.Add(uint64(size))
}

// report sends a sender report for every source (RFC 3550, section 6.4.1).
func (s *stage) report(now time.Duration) error {
	var reports []rtcp.Packet
	for _, v := range s.all() {
		reports = append(reports, &rtcp.SenderReport{
			SSRC: v.ssrc, NTPTime: media.NTPFromMicros(s.wall + now.Microseconds()), RTPTime: v.at(now),
			PacketCount: v.packets, OctetCount: v.octets,
		})
	}
	if err := s.pc.WriteRTCP(reports); err != nil {
		return fmt.Errorf("send a report: %w", err)
	}
	return nil
}

// listen reads what the server says about a source until the connection is closed. Reading also lets the repair work. A
// packet that cannot be read is passed over; many in a row are the end.
func (s *stage) listen(v *source) {
	for bad := 0; bad < 32; {
		var packets []rtcp.Packet
		var err error
		if v.rid != "" {
			packets, _, err = v.sender.ReadSimulcastRTCP(v.rid)
		} else {
			packets, _, err = v.sender.ReadRTCP()
		}
		if err != nil {
			bad++
			continue
		}
		bad = 0
		for _, p := range packets {
			if asksKeyframe(p, v.ssrc) {
				s.pub.keyframes.Add(1)
				s.wanted.Store(true)
			}
		}
	}
}

// asksKeyframe reports whether a packet asks for a keyframe of a source.
func asksKeyframe(p rtcp.Packet, ssrc uint32) bool {
	switch p := p.(type) {
	case *rtcp.PictureLossIndication:
		return p.MediaSSRC == ssrc
	case *rtcp.FullIntraRequest:
		for _, f := range p.FIR {
			if f.SSRC == ssrc {
				return true
			}
		}
	}
	return false
}
