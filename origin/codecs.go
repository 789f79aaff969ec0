package origin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// absCaptureTime says when a packet's media was captured, by the publisher's clock.
const absCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

// maxCodecs bounds the payload types of one media section that are looked at. Chromium offers some forty.
const maxCodecs = 64

// extensions are the header extensions that are answered when they are offered.
func extensions() []string {
	return []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, absCaptureTime}
}

// mediaEngine makes a media engine for one offer. It knows the offered variants of VP8, H.264 and Opus as the publisher
// wrote them, payload types and format lines included: media is not decoded here, so every profile is as good, and an
// answer that echoes the offer is the one that all publishers understand.
func mediaEngine(offer string) (*webrtc.MediaEngine, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(offer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	engine := &webrtc.MediaEngine{}
	for _, m := range d.MediaDescriptions {
		kind := webrtc.NewRTPCodecType(m.MediaName.Media)
		if kind == 0 {
			continue
		}
		for _, c := range codecsOf(m) {
			if err := engine.RegisterCodec(c, kind); err != nil {
				return nil, fmt.Errorf("%w: codec %s: %w", ErrOffer, c.MimeType, err)
			}
		}
		for _, uri := range extensions() {
			if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, fmt.Errorf("%w: extension %s: %w", ErrOffer, uri, err)
			}
		}
	}
	return engine, nil
}

// codecsOf lists the codecs of a section in its order of preference, and RTX for those.
func codecsOf(m *sdp.MediaDescription) []webrtc.RTPCodecParameters {
	maps, formats := map[string]string{}, map[string]string{}
	for _, a := range m.Attributes {
		pt, value, _ := strings.Cut(a.Value, " ")
		switch a.Key {
		case "rtpmap":
			maps[pt] = strings.TrimSpace(value)
		case "fmtp":
			formats[pt] = strings.TrimSpace(value)
		}
	}
	var codecs []webrtc.RTPCodecParameters
	var primary []string
	add := func(pt string, c webrtc.RTPCodecCapability) {
		n, err := strconv.ParseUint(pt, 10, 7)
		if err != nil || slices.ContainsFunc(codecs, func(o webrtc.RTPCodecParameters) bool { return uint64(o.PayloadType) == n }) {
			return
		}
		c.SDPFmtpLine = formats[pt]
		codecs = append(codecs, webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: webrtc.PayloadType(n)})
	}
	list := m.MediaName.Formats[:min(len(m.MediaName.Formats), maxCodecs)]
	for _, pt := range list {
		c, ok := capability(m.MediaName.Media, maps[pt])
		if ok {
			add(pt, c)
			primary = append(primary, pt)
		}
	}
	for _, pt := range list {
		apt, ok := strings.CutPrefix(formats[pt], "apt=")
		if ok && strings.EqualFold(maps[pt], "rtx/90000") && slices.Contains(primary, apt) {
			add(pt, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000})
		}
	}
	return codecs
}

// capability returns what an rtpmap stands for, if it is a codec that a class can use.
func capability(media, rtpmap string) (webrtc.RTPCodecCapability, bool) {
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	switch media + " " + strings.ToLower(rtpmap) {
	case "audio opus/48000/2":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, true
	case "video vp8/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, true
	case "video h264/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: feedback}, true
	}
	return webrtc.RTPCodecCapability{}, false
}
