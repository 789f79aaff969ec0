package edge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

// absCaptureTime says when a packet's media was captured, by the publisher's clock.
const absCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

// maxCodecs bounds the payload types of one media section that are looked at. Chromium offers some forty.
const maxCodecs = 64

// offer is what a subscriber's offer asks for.
type offer struct {
	sdp     string       // in which every section of sound or picture is recvonly
	kinds   []media.Kind // one for each of those sections
	passive bool         // the subscriber cannot begin DTLS
	engine  *webrtc.MediaEngine
}

// readOffer looks at an offer. A section that could also send is answered as if it could not: nothing is received here.
func readOffer(text string) (*offer, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	o := &offer{engine: &webrtc.MediaEngine{}}
	setup, _ := d.Attribute("setup")
	for _, m := range d.MediaDescriptions {
		if s, ok := m.Attribute("setup"); ok {
			setup = s
		}
		kind, pionKind := kindOf(m.MediaName.Media)
		if kind == 0 {
			continue
		}
		if slices.Contains(o.kinds, kind) {
			return nil, fmt.Errorf("%w: it has two sections of %s", ErrOffer, kind)
		}
		o.kinds = append(o.kinds, kind)
		receiveOnly(&d, m)
		if err := register(o.engine, m, pionKind); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOffer, err)
		}
	}
	if len(o.kinds) == 0 {
		return nil, fmt.Errorf("%w: it has neither audio nor video", ErrOffer)
	}
	o.passive = setup == "passive"
	clean, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	o.sdp = string(clean)
	return o, nil
}

func kindOf(name string) (media.Kind, webrtc.RTPCodecType) {
	switch name {
	case "audio":
		return media.Audio, webrtc.RTPCodecTypeAudio
	case "video":
		return media.Video, webrtc.RTPCodecTypeVideo
	}
	return 0, 0
}

// receiveOnly writes the direction of a section. Without any it would be sendrecv (RFC 8866, section 6.7).
func receiveOnly(d *sdp.SessionDescription, m *sdp.MediaDescription) {
	direction := func(a sdp.Attribute) bool { return a.Key == "sendrecv" }
	other := func(a sdp.Attribute) bool { return a.Key == "sendonly" || a.Key == "inactive" || a.Key == "recvonly" }
	m.Attributes = slices.DeleteFunc(m.Attributes, direction)
	if !slices.ContainsFunc(m.Attributes, other) && !slices.ContainsFunc(d.Attributes, other) {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "recvonly"})
	}
}

// register makes the media engine know the variants of VP8, H.264 and Opus that a section offers, as it writes them: an
// answer that echoes the offer is the one that every player understands, and there is nothing else to compare with.
func register(engine *webrtc.MediaEngine, m *sdp.MediaDescription, kind webrtc.RTPCodecType) error {
	maps, formats := map[string]string{}, map[string]string{}
	for _, a := range m.Attributes {
		payload, value, _ := strings.Cut(a.Value, " ")
		switch a.Key {
		case "rtpmap":
			maps[payload] = strings.ToLower(strings.TrimSpace(value))
		case "fmtp":
			formats[payload] = strings.TrimSpace(value)
		}
	}
	list := m.MediaName.Formats[:min(len(m.MediaName.Formats), maxCodecs)]
	known := map[string]bool{}
	for _, payload := range list {
		c, ok := capability(m.MediaName.Media, maps[payload])
		n, err := strconv.ParseUint(payload, 10, 7)
		if !ok || err != nil || known[payload] {
			continue
		}
		known[payload] = true
		c.SDPFmtpLine = formats[payload]
		parameters := webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: webrtc.PayloadType(n)}
		if err := engine.RegisterCodec(parameters, kind); err != nil {
			return fmt.Errorf("codec %s: %w", c.MimeType, err)
		}
	}
	for _, payload := range list {
		of := repaired(formats[payload])
		n, err := strconv.ParseUint(payload, 10, 7)
		if err != nil || maps[payload] != "rtx/90000" || !known[of] || known[payload] {
			continue
		}
		known[payload] = true
		c := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: formats[payload]}
		if err := engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: webrtc.PayloadType(n)}, kind); err != nil {
			return fmt.Errorf("repair of payload type %s: %w", of, err)
		}
	}
	for _, uri := range []string{sdp.SDESMidURI, absCaptureTime} {
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
			return fmt.Errorf("extension %s: %w", uri, err)
		}
	}
	return nil
}

// capability returns what an rtpmap stands for, if it is a codec that a class can use.
func capability(section, rtpmap string) (webrtc.RTPCodecCapability, bool) {
	feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	switch section + " " + rtpmap {
	case "audio opus/48000/2":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, true
	case "video vp8/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, true
	case "video h264/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: feedback}, true
	}
	return webrtc.RTPCodecCapability{}, false
}

// api makes what one peer connection is made of. It has no interceptors: one of the usual set copies every packet for every
// subscriber, and what they do is done here from the ring and from counters. The registry must be there nevertheless,
// without one pion installs its own.
func (e *Edge) api(o *offer) *webrtc.API {
	engine := e.cfg.Engine()
	if !o.passive {
		// The player begins DTLS as soon as it has a path; nobody can make the node start handshakes.
		_ = engine.SetAnsweringDTLSRole(webrtc.DTLSRoleServer) // fails for other roles only
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(o.engine), webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(engine))
}
