package edge

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

// sender is one subscriber's end of a track: a webrtc.TrackLocal that only learns what was agreed upon and lets its leg
// write. Each subscriber has its own, so that all packets of one subscriber can be written together.
type sender struct {
	// Set by newSender, never changed.
	kind     webrtc.RTPCodecType
	id, room string

	bound atomic.Pointer[binding]
}

// binding is what was agreed upon. It never changes.
type binding struct {
	ssrc, repair uint32 // repair is 0 when the subscriber takes no repair packets
	stamp        uint8  // the id of abs-capture-time, 0 when it was not offered
	sendTime     uint8  // the id of abs-send-time for video, 0 for none
	count        uint8  // the id of transport-wide numbers, for a player that reports nothing better; 0 for none
	dependency   uint8  // the id of dependency descriptors, 0 when they were not offered
	red          uint8  // the payload type of redundant sound, 0 when it was not asked for
	cname        string
	codecs       []codec // in the subscriber's order of preference
	stream       webrtc.TrackLocalWriter
}

// codec is a codec that the subscriber takes.
type codec struct {
	media.Codec
	payload uint8
	repair  uint8 // the payload type of its repair packets, 0 for none
	format  forward.Format
}

var errNoCodec = errors.New("no codec in common")

func newSender(p part, room string) *sender {
	s := &sender{kind: webrtc.RTPCodecTypeVideo, id: p.name, room: room}
	if p.kind == media.Audio {
		s.kind = webrtc.RTPCodecTypeAudio
	}
	return s
}

// ID names the track within the stream.
func (s *sender) ID() string { return s.id }

// RID is empty: a subscriber gets one layer.
func (s *sender) RID() string { return "" }

// StreamID is the same for sound and picture, so that a player keeps them in step.
func (s *sender) StreamID() string { return s.room }

// Kind is that of the track.
func (s *sender) Kind() webrtc.RTPCodecType { return s.kind }

// Bind learns what was agreed upon.
func (s *sender) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	b := &binding{ssrc: uint32(c.SSRC()), repair: uint32(c.SSRCRetransmission()), cname: s.room, stream: c.WriteStream()}
	var first webrtc.RTPCodecParameters
	all := c.CodecParameters()
	for _, p := range all {
		if strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) {
			continue
		}
		if first.PayloadType == 0 {
			first = p
		}
		if strings.EqualFold(p.MimeType, wish.MimeTypeRED) {
			b.red = uint8(p.PayloadType)
			continue
		}
		known := codec{payload: uint8(p.PayloadType), format: forward.FormatOf(p.MimeType), Codec: media.Codec{
			MimeType: p.MimeType, ClockRate: p.ClockRate, Channels: p.Channels, Fmtp: p.SDPFmtpLine,
		}}
		if repair := repairOf(p.PayloadType, all); b.repair != 0 {
			known.repair = repair
		}
		b.codecs = append(b.codecs, known)
	}
	if len(b.codecs) == 0 {
		return first, errNoCodec
	}
	for _, e := range c.HeaderExtensions() {
		// Other ids do not fit the one-byte form (RFC 8285, section 4.2).
		if e.ID < 1 || e.ID > 14 {
			continue
		}
		switch e.URI {
		case wish.AbsCaptureTime:
			b.stamp = uint8(e.ID)
		case sdp.ABSSendTimeURI:
			b.sendTime = uint8(e.ID)
		case wish.DependencyDescriptor:
			b.dependency = uint8(e.ID)
		case sdp.TransportCCURI:
			b.count = uint8(e.ID)
		}
	}
	// A packet that is sent again as it was must not carry another time or number.
	if s.kind == webrtc.RTPCodecTypeAudio || slices.ContainsFunc(b.codecs, func(c codec) bool { return c.repair == 0 }) {
		b.sendTime, b.count = 0, 0
	}
	s.bound.Store(b)
	return first, nil
}

// Unbind has nothing to do: the leg ends with its subscriber.
func (s *sender) Unbind(webrtc.TrackLocalContext) error { return nil }

var _ webrtc.TrackLocal = (*sender)(nil)
