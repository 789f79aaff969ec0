package wish

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// AbsCaptureTime is the header extension that says when a packet's media was captured, by the publisher's clock.
const AbsCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

// DependencyDescriptor is the header extension that says which packets of AV1 a decoder needs (AV1 RTP specification,
// appendix A).
const DependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// MimeTypeRED is redundant sound: each packet has the one before it once more (RFC 2198).
const MimeTypeRED = "audio/red"

// Codecs makes a media engine for one offer. It knows the offered variants of VP8, H.264, VP9, AV1 and Opus as the client wrote
// them, payload types and format lines included: nothing is decoded at a node, and an answer that echoes the offer is the one
// that all clients understand. Of VP9 and AV1 it takes the main profile alone, as the others are not decoded everywhere. Feedback
// is what is answered for video; for sound it is requests for missing packets. Extensions are the header extensions that are
// answered. All this is answered where it is offered.
//
// Redundant takes redundant Opus (RED, RFC 2198) too, from those who prefer it to plain Opus.
func Codecs(d *sdp.SessionDescription, redundant bool, feedback []webrtc.RTCPFeedback, extensions ...string) (*webrtc.MediaEngine, error) {
	engine := &webrtc.MediaEngine{}
	for _, m := range d.MediaDescriptions {
		kind := webrtc.NewRTPCodecType(m.MediaName.Media)
		if kind == 0 {
			continue
		}
		for _, c := range codecsOf(m, redundant, feedback) {
			if err := engine.RegisterCodec(c, kind); err != nil {
				return nil, fmt.Errorf("codec %s: %w", c.MimeType, err)
			}
		}
		for _, uri := range extensions {
			if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, fmt.Errorf("extension %s: %w", uri, err)
			}
		}
	}
	return engine, nil
}

// codecsOf lists the codecs of a section in its order of preference, then the repair formats for those.
func codecsOf(m *sdp.MediaDescription, redundant bool, feedback []webrtc.RTCPFeedback) []webrtc.RTPCodecParameters {
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
	var codecs []webrtc.RTPCodecParameters
	known := map[string]bool{}
	add := func(payload string, c webrtc.RTPCodecCapability) {
		n, err := strconv.ParseUint(payload, 10, 7)
		if err != nil || known[payload] {
			return
		}
		known[payload] = true
		c.SDPFmtpLine = formats[payload]
		codecs = append(codecs, webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: webrtc.PayloadType(n)})
	}
	list := m.MediaName.Formats[:min(len(m.MediaName.Formats), maxFormats)]
	for i, payload := range list {
		if redundant && i == 0 && maps[payload] == "red/48000/2" {
			add(payload, webrtc.RTPCodecCapability{MimeType: MimeTypeRED, ClockRate: 48000, Channels: 2})
			continue
		}
		if c, ok := capability(m.MediaName.Media, maps[payload], feedback); ok && mainProfile(c.MimeType, formats[payload]) {
			add(payload, c)
		}
	}
	for _, payload := range list {
		if maps[payload] == "rtx/90000" && known[Repaired(formats[payload])] {
			add(payload, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000})
		}
	}
	return codecs
}

// capability returns what an rtpmap in small letters stands for, if it is a codec that a class can use.
func capability(section, rtpmap string, feedback []webrtc.RTCPFeedback) (webrtc.RTPCodecCapability, bool) {
	switch section + " " + rtpmap {
	case "audio opus/48000/2":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}}}, true
	case "video vp8/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, true
	case "video vp9/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, RTCPFeedback: feedback}, true
	case "video av1/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeAV1, ClockRate: 90000, RTCPFeedback: feedback}, true
	case "video h264/90000":
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: feedback}, true
	}
	return webrtc.RTPCodecCapability{}, false
}

// mainProfile reports whether a format line is of a profile that is taken: of VP9 and AV1 the main one, which is meant where none
// is named (RFC 9628, section 6; AV1 RTP specification, section 7.2.1).
func mainProfile(mimeType, fmtp string) bool {
	if mimeType != webrtc.MimeTypeVP9 && mimeType != webrtc.MimeTypeAV1 {
		return true
	}
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if (key == "profile-id" || key == "profile") && strings.TrimSpace(value) != "0" {
			return false
		}
	}
	return true
}

// Repaired reads from the format line of a repair format which payload type it repairs, "" for none (RFC 4588, section 8.1).
func Repaired(fmtp string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		if of, ok := strings.CutPrefix(strings.TrimSpace(part), "apt="); ok {
			return of
		}
	}
	return ""
}
