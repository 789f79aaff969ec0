package client

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

// stream is one track of a session as a student receives it. Its fields are guarded by the student's mu.
type stream struct {
	ssrc    uint32
	rate    uint32
	video   bool
	repairs bool // the node answers requests for missing packets
	capture uint8
	span    span
	key     keyframe

	first    time.Time // packet
	asked    time.Time // for a keyframe
	stamp    int64     // the last one that told when media was captured, 0 for none yet
	stampAt  uint32    // the RTP timestamp of its packet
	counted  uint32    // the RTP timestamp of the last packet
	transit  int64     // of the last packet, in units of rate
	jitter   float64
	report   uint32    // middle of the last sender report's NTP time
	reported time.Time // when it came
	expected uint64    // at the last receiver report
	received uint64    // at the last receiver report
}

// arrival is what one packet told.
type arrival struct {
	fresh    bool  // counted, and for the first time
	media    bool  // fresh, and more than padding
	keyframe bool  // the first whole keyframe is here
	captured int64 // in microseconds since the Unix epoch, 0 if not told
}

// take counts an RTP packet. The header is memory to parse into.
func (s *stream) take(h *rtp.Header, packet []byte, now time.Time) (a arrival) {
	n, err := h.Unmarshal(packet)
	if err != nil {
		return a
	}
	payload := packet[n:]
	if h.Padding && len(payload) > 0 {
		payload = payload[:len(payload)-min(int(payload[len(payload)-1]), len(payload))]
	}
	if s.first.IsZero() {
		s.first = now
	}
	number, fresh := s.span.add(h.SequenceNumber, now)
	if !fresh {
		return a
	}
	a.fresh, a.media = true, len(payload) > 0
	if s.rate != 0 {
		transit := now.UnixMicro()*int64(s.rate)/1e6 - int64(h.Timestamp)
		if d := int64(int32(transit - s.transit)); s.transit != 0 { // RFC 3550, appendix A.8
			s.jitter += (float64(max(d, -d)) - s.jitter) / 16
		}
		s.transit = transit
	}
	if s.video && a.media {
		a.keyframe = s.key.add(&s.span, number, h.Timestamp, h.Marker, payload)
	}
	if s.capture != 0 {
		a.captured = s.captured(h)
	}
	return a
}

// reckon is how far from a stamp the time of capture is reckoned, in seconds.
const reckon = 5

// captured is when a packet's media was captured: by its stamp or, for the first packet of a later frame, by the last stamp
// and the RTP clock. 0 means that it is not told.
func (s *stream) captured(h *rtp.Header) int64 {
	before := s.counted
	s.counted = h.Timestamp
	if e := h.GetExtension(s.capture); len(e) >= 8 {
		s.stamp, s.stampAt = media.MicrosFromNTP(binary.BigEndian.Uint64(e)), h.Timestamp
		return s.stamp
	}
	since := int64(int32(h.Timestamp - s.stampAt))
	if s.stamp == 0 || s.rate == 0 || h.Timestamp == before || since <= 0 || since > reckon*int64(s.rate) {
		return 0
	}
	return s.stamp + since*1e6/int64(s.rate)
}

// wants lists the packets to ask for now.
func (s *stream) wants(now time.Time, buf []uint16) []uint16 {
	if !s.repairs || len(s.span.holes) == 0 {
		return buf
	}
	return s.span.missing(now, buf)
}

// wantsKeyframe reports whether it is time to ask for a keyframe: none came within a second.
func (s *stream) wantsKeyframe(now time.Time) bool {
	if !s.video || s.key.found || s.key.codec == unknownCodec || s.first.IsZero() {
		return false
	}
	since := s.asked
	if since.IsZero() {
		since = s.first
	}
	if now.Sub(since) < time.Second {
		return false
	}
	s.asked = now
	return true
}

// reception is the block about this stream in a receiver report.
func (s *stream) reception(now time.Time) rtcp.ReceptionReport {
	expected, received := s.span.received+s.span.lost(), s.span.received
	r := rtcp.ReceptionReport{
		SSRC:               s.ssrc,
		TotalLost:          uint32(min(expected-received, 1<<23-1)),
		LastSequenceNumber: uint32(s.span.high - 1<<32),
		Jitter:             uint32(s.jitter),
	}
	if e, got := expected-s.expected, received-s.received; expected > s.expected && e > got {
		r.FractionLost = uint8(min((e-got)<<8/e, 255))
	}
	s.expected, s.received = expected, received
	if !s.reported.IsZero() {
		r.LastSenderReport = s.report
		r.Delay = uint32(now.Sub(s.reported) * 65536 / time.Second)
	}
	return r
}
