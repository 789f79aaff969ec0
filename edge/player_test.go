package edge

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// player is a student's browser as far as networks matter: it reports as browsers do (receiver reports, requests for what is
// missing, limits from the growth of delay), and its decoder wants whole frames one after the other.
type player struct {
	t     *testing.T
	pc    *webrtc.PeerConnection
	began time.Time
	quirks

	mu      sync.Mutex
	limit   remb
	video   decoder
	heard   map[uint16]bool
	first   uint16
	newest  uint16
	started bool
	bytes   int
}

// quirks are what some players do not do.
type quirks struct {
	noLimit  bool // it tells no limits
	noRepair bool // it takes no repair packets
	arrivals bool // it reports when packets come, and tells no limits
}

// decoder follows the frames of one stream.
type decoder struct {
	begun   bool
	ssrc    uint32
	next    uint16
	waiting map[uint16]rtp.Packet
	asked   map[uint16]request
	newest  uint16
	lostAt  time.Time // since when next is missing
	dry     bool      // waits for a keyframe
	pleaAt  time.Time
	shown   []shown
}

// request is a request for a missing packet.
type request struct {
	at    time.Time
	tries int
}

// missing lists what is to be asked for now, as browsers do: each packet again after about a round trip, ten times at most.
func (d *decoder) missing() (list []uint16) {
	now := time.Now()
	for s := d.next; int16(d.newest-s) > 0 && len(list) < 100; s++ {
		if _, ok := d.waiting[s]; ok {
			continue
		}
		if r := d.asked[s]; r.tries < 10 && now.Sub(r.at) > 120*time.Millisecond {
			d.asked[s] = request{now, r.tries + 1}
			list = append(list, s)
		}
	}
	for s := range d.asked {
		if int16(d.next-s) > 0 {
			delete(d.asked, s)
		}
	}
	return list
}

// shown is a frame that could be decoded.
type shown struct {
	at    time.Duration
	layer byte
	key   bool
}

// remb is a limit as browsers make it: from the send times in packets it sees queues grow, halves nothing but falls to 0.85
// of what arrives, and grows by 8 % a second up to half as much again as arrives.
type remb struct {
	value    float64
	arrivals []arrival
	base     float64 // the shortest way, in seconds
	smooth   float64
	over     int
	toldAt   time.Time
	stepAt   time.Time
	began    time.Time
	last     uint32
	wraps    float64
	fell     bool
}

type arrival struct {
	at   time.Time
	size int
}

// take takes in a packet of a size that was sent at a 24-bit time, and returns a limit when it is time to tell it.
func (r *remb) take(now time.Time, size int, stamp uint32) (float64, bool) {
	r.arrivals = append(r.arrivals, arrival{now, size})
	for now.Sub(r.arrivals[0].at) > time.Second {
		r.arrivals = r.arrivals[1:]
	}
	through := 0.0
	for _, a := range r.arrivals {
		through += float64(a.size) * 8
	}
	if r.began.IsZero() {
		r.began, r.stepAt, r.base, r.last = now, now, math.Inf(1), stamp-1<<18
	}
	through /= min(max(now.Sub(r.began).Seconds(), 0.2), 1)
	step := int32(stamp<<8-r.last<<8) >> 8
	if step < 1300 {
		return 0, false // the same group of packets, which leaves within 5 ms, or one from before it
	}
	if stamp < r.last {
		r.wraps += 64
	}
	r.last = stamp
	way := now.Sub(r.began).Seconds() - (r.wraps + float64(stamp)/(1<<18))
	r.base = min(r.base+0.0001, way)
	r.smooth += (way - r.base - r.smooth) * 0.3
	switch {
	case r.smooth > 0.025 && way-r.base > r.smooth*0.9:
		if r.over++; r.over > 3 && (!r.fell || now.Sub(r.stepAt) > 300*time.Millisecond) {
			r.fell, r.stepAt = true, now
			if r.value == 0 || 0.85*through < r.value {
				r.value, r.toldAt = 0.85*through, now
				return r.value, true
			}
		}
	case r.smooth > 0.015:
		r.over, r.stepAt = 0, now // the queue drains: hold
	default:
		r.over, r.fell = 0, false
	}
	if r.value == 0 {
		if now.Sub(r.began) < 5*time.Second {
			return 0, false
		}
		r.value = through
	}
	if step := now.Sub(r.stepAt); r.over == 0 && step > 200*time.Millisecond {
		if most := 1.5*through + 10_000; r.value < most {
			r.value = min(r.value*math.Pow(1.08, step.Seconds()), most)
		}
		r.stepAt = now
	}
	if r.value > 0 && now.Sub(r.toldAt) > 250*time.Millisecond {
		r.toldAt = now
		return r.value, true
	}
	return 0, false
}

// tap lets a player see every packet as it came.
type tap struct {
	interceptor.NoOp
	p *player
}

// NewInterceptor makes the player a factory of its taps.
func (p *player) NewInterceptor(string) (interceptor.Interceptor, error) { return &tap{p: p}, nil }

// BindRemoteStream hands the packets of the picture to the player.
func (ta *tap) BindRemoteStream(info *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	id := uint8(0)
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.ABSSendTimeURI {
			id = uint8(e.ID)
		}
	}
	video := info.ClockRate == 90000
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := reader.Read(b, a)
		if err == nil && video {
			ta.p.measure(b[:n], id)
		}
		return n, a, err
	})
}

func (p *player) measure(b []byte, id uint8) {
	var h rtp.Header
	n, err := h.Unmarshal(b)
	if err != nil {
		p.t.Errorf("packet: %v", err)
		return
	}
	stamp := h.GetExtension(id)
	if p.noLimit || p.arrivals || p.noRepair && stamp == nil {
		return
	}
	if len(stamp) != 3 {
		p.t.Errorf("a packet without its send time: %v", h)
		return
	}
	p.mu.Lock()
	p.bytes += len(b)
	v, tell := p.limit.take(time.Now(), len(b)-n, uint32(stamp[0])<<16|uint32(stamp[1])<<8|uint32(stamp[2]))
	ssrc := p.video.ssrc
	p.mu.Unlock()
	if tell {
		_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: float32(v), SSRCs: []uint32{ssrc}}})
	}
}

func (p *player) read(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	for {
		pkt, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		p.mu.Lock()
		plea := false
		var missing []uint16
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			if !p.started {
				p.started, p.first, p.newest = true, pkt.SequenceNumber, pkt.SequenceNumber
			}
			p.heard[pkt.SequenceNumber] = true
			if int16(pkt.SequenceNumber-p.newest) > 0 {
				p.newest = pkt.SequenceNumber
			}
		} else {
			plea = p.video.take(pkt, p.began)
			missing = p.video.missing()
		}
		p.mu.Unlock()
		if len(missing) > 0 {
			_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: uint32(track.SSRC()), Nacks: rtcp.NackPairsFromSequenceNumbers(missing)}})
		}
		if plea {
			_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
		}
	}
}

// take takes in a packet, and reports whether the decoder needs a keyframe.
func (d *decoder) take(pkt *rtp.Packet, began time.Time) bool {
	now := time.Now()
	if !d.begun {
		d.begun, d.ssrc, d.next, d.waiting, d.dry = true, pkt.SSRC, pkt.SequenceNumber, map[uint16]rtp.Packet{}, true
		d.asked, d.newest = map[uint16]request{}, pkt.SequenceNumber
	}
	if int16(pkt.SequenceNumber-d.newest) > 0 {
		d.newest = pkt.SequenceNumber
	}
	if int16(pkt.SequenceNumber-d.next) < 0 || len(pkt.Payload) < 25 {
		return false
	}
	d.waiting[pkt.SequenceNumber] = *pkt
	for {
		w, ok := d.waiting[d.next]
		if !ok {
			break
		}
		delete(d.waiting, d.next)
		d.next++
		d.lostAt = time.Time{}
		key := w.Payload[24] == 1
		if key {
			d.dry = false
		}
		if w.Marker && !d.dry {
			d.shown = append(d.shown, shown{now.Sub(began), w.Payload[6], key})
		}
	}
	if len(d.waiting) > 0 && d.lostAt.IsZero() {
		d.lostAt = now
	}
	if best, some := d.keyframe(); !d.lostAt.IsZero() && (some || now.Sub(d.lostAt) > time.Second) {
		// Given up: on to the next keyframe that is there.
		if d.dry = !some; d.dry {
			best = pkt.SequenceNumber
		}
		for s := range d.waiting {
			if int16(s-best) < 0 {
				delete(d.waiting, s)
			}
		}
		d.next, d.lostAt = best, time.Time{}
	}
	if d.dry && now.Sub(d.pleaAt) > 300*time.Millisecond {
		d.pleaAt = now
		return true
	}
	return false
}

// keyframe finds a whole keyframe among what waits.
func (d *decoder) keyframe() (first uint16, some bool) {
	for s, w := range d.waiting {
		if w.Payload[24] != 1 || d.waiting[s-1].Timestamp == w.Timestamp {
			continue
		}
		for at := s; d.waiting[at].Timestamp == w.Timestamp; at++ {
			if d.waiting[at].Marker {
				return s, true
			}
		}
	}
	return 0, false
}

// newViewer makes a player.
func newViewer(t *testing.T, engine webrtc.SettingEngine, quirks quirks) *player {
	t.Helper()
	p := &player{t: t, quirks: quirks, began: time.Now(), heard: map[uint16]bool{}}
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	switch {
	case quirks.arrivals:
		feedback = append(feedback, webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC})
	case !quirks.noLimit:
		feedback = append(feedback, webrtc.RTCPFeedback{Type: "goog-remb"})
	}
	codecs := []webrtc.RTPCodecParameters{
		{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}},
		{PayloadType: 97, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}},
	}
	if quirks.noRepair {
		codecs = codecs[:1]
	}
	for _, c := range codecs {
		if err := m.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}}}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: opus}, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.ABSSendTimeURI}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	registry := &interceptor.Registry{}
	missing, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(40*time.Millisecond),
		// It does not see what comes on the repair stream: the picture's requests are the player's own.
		nack.GeneratorStreamsFilter(func(info *interceptor.StreamInfo) bool { return info.ClockRate == 48000 }))
	if err != nil {
		t.Fatal(err)
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(missing)
	registry.Add(reports)
	registry.Add(p)
	if quirks.arrivals {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
		arrivals, err := twcc.NewSenderInterceptor()
		if err != nil {
			t.Fatal(err)
		}
		registry.Add(arrivals)
	}
	p.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(engine), webrtc.WithInterceptorRegistry(registry)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.pc.GracefulClose() })
	p.pc.OnTrack(p.read)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := p.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// soundLost is how many packets of sound are missing among how many, the last second left out.
func (p *player) soundLost() (lost, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.first; int16(p.newest-50-s) > 0; s++ {
		if all++; !p.heard[s] {
			lost++
		}
	}
	return lost, all
}

// freezes lists the pauses between frames that are longer than a second, but for those before a keyframe of another layer.
func (p *player) freezes() (bad []time.Duration, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 1; i < len(p.video.shown); i++ {
		a, b := p.video.shown[i-1], p.video.shown[i]
		pause := b.at - a.at
		longest = max(longest, pause)
		if pause > time.Second && (a.layer == b.layer || !b.key) {
			bad = append(bad, a.at, pause)
		}
	}
	return bad, longest
}
