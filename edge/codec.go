package edge

import (
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

// repairOf is the payload type of the repair packets for a payload type, 0 for none.
func repairOf(payload webrtc.PayloadType, all []webrtc.RTPCodecParameters) uint8 {
	for _, p := range all {
		if strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) && wish.Repaired(p.SDPFmtpLine) == strconv.Itoa(int(payload)) {
			return uint8(p.PayloadType)
		}
	}
	return 0
}

// repairType is the payload type under which packets of a payload type are sent again, 0 for their own.
func (b *binding) repairType(payload uint8) uint8 {
	for i := range b.codecs {
		if b.codecs[i].payload == payload {
			return b.codecs[i].repair
		}
	}
	return 0
}

// format is that of a payload type.
func (b *binding) format(payload uint8) forward.Format {
	for i := range b.codecs {
		if b.codecs[i].payload == payload {
			return b.codecs[i].format
		}
	}
	return 0
}

// match finds the codec under which a track is sent to the subscriber, nil if it takes none that fits. Among several
// variants of H.264 the one with the publisher's profile is best; any with its packetization mode will do, because players
// decode more profiles than they name.
func (b *binding) match(c media.Codec) *codec {
	var best *codec
	score := 0
	for i := range b.codecs {
		o := &b.codecs[i]
		if !strings.EqualFold(o.MimeType, c.MimeType) || o.ClockRate != c.ClockRate {
			continue
		}
		if s := fit(c, o.Codec); s > score {
			best, score = o, s
		}
	}
	return best
}

// fit says how well a publisher's codec fits a subscriber's of the same name: 0 not at all.
func fit(c, o media.Codec) int {
	if f := forward.FormatOf(c.MimeType); (f == forward.FormatVP9 || f == forward.FormatAV1) && profile(c.Fmtp) != profile(o.Fmtp) {
		return 0
	}
	if !strings.EqualFold(c.MimeType, webrtc.MimeTypeH264) {
		return 1
	}
	a, b := parseH264(c.Fmtp), parseH264(o.Fmtp)
	switch {
	case a.mode != "0" && b.mode == "0":
		return 0 // mode 0 has no fragments (RFC 6184, section 6.2)
	case a.profile == b.profile && a.mode == b.mode:
		return 4
	case a.profile == b.profile:
		return 3
	case a.profile[:2] == b.profile[:2]:
		return 2
	}
	return 1
}

// profile is that of VP9 or AV1 by a format line; "0" where it names none.
func profile(fmtp string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key == "profile-id" || key == "profile" {
			return strings.TrimSpace(value)
		}
	}
	return "0"
}

// h264 is what a format line says of H.264 besides the level, which a sender need not keep to that of the answer.
type h264 struct {
	profile string // profile_idc and the constraints, four hexadecimal digits
	mode    string
}

func parseH264(fmtp string) h264 {
	h := h264{profile: "4200", mode: "0"} // the defaults of RFC 6184, section 8.1
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case strings.EqualFold(key, "profile-level-id") && len(value) == 6 && strings.Trim(value, "0123456789abcdefABCDEF") == "":
			h.profile = strings.ToLower(value[:4])
		case strings.EqualFold(key, "packetization-mode") && value != "":
			h.mode = value
		}
	}
	return h
}
