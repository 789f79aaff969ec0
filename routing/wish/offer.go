package wish

import (
	"net/http"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// A section larger than these bounds is no client's: Chromium's largest has some 50 formats and 300 attributes. What takes
// an offer apart compares every format with every other.
const (
	maxFormats    = 128
	maxAttributes = 1024
)

// Rules bound what an offer may ask for.
type Rules struct {
	// Directions are the directions that a section of audio or video may have, "sendonly" for example.
	Directions []string
	// MaxAudio and MaxVideo are how many sections of each kind there may be.
	MaxAudio, MaxVideo int
	// MaxRIDs is how many simulcast layers one section may have.
	MaxRIDs int
	// Codecs are the codecs of which each section must offer at least one, in small letters, "vp8" for example.
	Codecs []string
}

// RulesFor returns the rules of a class: one sound and one picture in the protocol's direction, as VP8, H.264, VP9, AV1 and
// Opus. Who watches may ask for two of each, those of the camera and of the screen.
func RulesFor(p Protocol) Rules {
	r := Rules{MaxAudio: 1, MaxVideo: 1, MaxRIDs: 4, Codecs: []string{"vp8", "h264", "vp9", "av1", "opus"}}
	if p == WHEP {
		r.Directions = []string{"recvonly", "sendrecv"}
		r.MaxAudio, r.MaxVideo = 2, 2
	} else {
		r.Directions = []string{"sendonly", "sendrecv"}
	}
	return r
}

// Offer is what is known about an offer that follows the rules.
type Offer struct {
	// SDP is the offer for a peer connection: without candidates that cannot be used, and with one group, which names the
	// sections that there are.
	SDP string
	// Candidates are the usable candidates, each once and without "a=".
	Candidates []string
	// Ufrag and Pwd are the client's ICE credentials.
	Ufrag, Pwd string
	// Audio and Video count the sections of each kind.
	Audio, Video int
}

// CheckOffer looks at a client's offer before a peer connection does. Its errors are *Error: 400 for what is not a
// usable offer, 422 for an offer that asks for what the node does not do.
func CheckOffer(text string, rules Rules) (Offer, error) {
	if !strings.HasPrefix(text, "v=0") {
		return Offer{}, refuse(http.StatusBadRequest, "the body is not an SDP offer: it must begin with \"v=0\"")
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return Offer{}, refuse(http.StatusBadRequest, "the SDP offer cannot be read: %.200s", err)
	}
	if n := len(d.MediaDescriptions); n == 0 || n > 8 {
		return Offer{}, refuse(http.StatusBadRequest, "the SDP offer has %d media sections, it can have 1 to 8", n)
	}
	if n := len(d.Attributes); n > maxAttributes {
		return Offer{}, refuse(http.StatusBadRequest, "the SDP offer has %d attributes of the session, it can have %d", n, maxAttributes)
	}
	var o Offer
	var mids []string
	data := 0
	for i, m := range d.MediaDescriptions {
		mid, err := checkTransport(&d, m, i)
		if err != nil {
			return Offer{}, err
		}
		if slices.Contains(mids, mid) {
			return Offer{}, refuse(http.StatusBadRequest, "two media sections of the SDP offer have the mid %q", mid)
		}
		mids = append(mids, mid)
		if ufrag := attribute(&d, m, "ice-ufrag"); o.Ufrag == "" {
			o.Ufrag, o.Pwd = ufrag, attribute(&d, m, "ice-pwd")
		}
		switch m.MediaName.Media {
		case "audio":
			o.Audio++
		case "video":
			o.Video++
		case "application":
			data++ // some players always offer a data channel
			continue
		default:
			return Offer{}, refuse(http.StatusUnprocessableEntity, "media section %s is of the unknown kind %.20q", mid, m.MediaName.Media)
		}
		if err := checkMedia(&d, m, mid, rules); err != nil {
			return Offer{}, err
		}
	}
	group := bundle(&d, mids)
	switch {
	case o.Audio+o.Video == 0:
		return Offer{}, refuse(http.StatusUnprocessableEntity, "the SDP offer has neither audio nor video")
	case o.Audio > rules.MaxAudio || o.Video > rules.MaxVideo || data > 1:
		return Offer{}, refuse(http.StatusUnprocessableEntity,
			"the SDP offer has %d audio and %d video sections; there can be %d and %d", o.Audio, o.Video, rules.MaxAudio, rules.MaxVideo)
	case group == nil:
		return Offer{}, refuse(http.StatusUnprocessableEntity,
			"the SDP offer does not bundle all its media sections (a=group:BUNDLE); there is one transport for all")
	}
	if err := o.clean(text, group); err != nil {
		return Offer{}, err
	}
	return o, nil
}

// checkTransport checks what every media section must say about ICE and DTLS, there or at the session level.
func checkTransport(d *sdp.SessionDescription, m *sdp.MediaDescription, index int) (mid string, err error) {
	if f, a := len(m.MediaName.Formats), len(m.Attributes); f > maxFormats || a > maxAttributes {
		return "", refuse(http.StatusBadRequest, "media section %d of the SDP offer has %d formats and %d attributes; it can have %d and %d",
			index, f, a, maxFormats, maxAttributes)
	}
	mid, _ = m.Attribute("mid")
	if mid == "" || len(mid) > 64 {
		return "", refuse(http.StatusBadRequest, "media section %d of the SDP offer has no a=mid", index)
	}
	for name, least := range map[string]int{"ice-ufrag": 4, "ice-pwd": 22} {
		value := attribute(d, m, name)
		if value == "" {
			return "", refuse(http.StatusBadRequest, "media section %s of the SDP offer has no a=%s", mid, name)
		}
		if err := checkCredential(name, value, least); err != nil {
			return "", refuse(http.StatusBadRequest, "media section %s of the SDP offer: %s", mid, err)
		}
	}
	if !strings.Contains(attribute(d, m, "fingerprint"), " ") {
		return "", refuse(http.StatusBadRequest, "media section %s of the SDP offer has no a=fingerprint", mid)
	}
	switch setup := attribute(d, m, "setup"); setup {
	case "actpass", "active", "passive":
	default:
		return "", refuse(http.StatusBadRequest, "media section %s of the SDP offer has the DTLS role %.20q", mid, setup)
	}
	_, only := m.Attribute("bundle-only")
	if m.MediaName.Port.Value == 0 && !only {
		return "", refuse(http.StatusUnprocessableEntity, "media section %s of the SDP offer is switched off (port 0); leave it out", mid)
	}
	return mid, nil
}

// checkMedia checks a section of audio or video.
func checkMedia(d *sdp.SessionDescription, m *sdp.MediaDescription, mid string, rules Rules) error {
	direction := directionOf(m.Attributes)
	if direction == "" {
		direction = directionOf(d.Attributes)
	}
	if direction == "" {
		direction = "sendrecv" // RFC 8866, section 6.7
	}
	if !slices.Contains(rules.Directions, direction) {
		return refuse(http.StatusUnprocessableEntity, "media section %s of the SDP offer is %s; it must be %s", mid, direction,
			strings.Join(rules.Directions, " or "))
	}
	known, rids := false, 0
	for _, a := range m.Attributes {
		switch a.Key {
		case "rtpmap":
			_, encoding, _ := strings.Cut(a.Value, " ")
			name, _, _ := strings.Cut(strings.TrimSpace(encoding), "/")
			known = known || slices.Contains(rules.Codecs, strings.ToLower(name))
		case "rid":
			rids++
		}
	}
	switch {
	case !known:
		return refuse(http.StatusUnprocessableEntity, "media section %s of the SDP offer has no codec in common with this node, which knows %s",
			mid, strings.Join(rules.Codecs, ", "))
	case rids > rules.MaxRIDs:
		return refuse(http.StatusUnprocessableEntity, "media section %s of the SDP offer has %d simulcast layers; there can be %d", mid, rids, rules.MaxRIDs)
	}
	return nil
}

// attribute looks at the section, then at the session.
func attribute(d *sdp.SessionDescription, m *sdp.MediaDescription, key string) string {
	value, ok := m.Attribute(key)
	if !ok {
		value, _ = d.Attribute(key)
	}
	return strings.TrimSpace(value)
}

func directionOf(attributes []sdp.Attribute) string {
	for _, a := range attributes {
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			return a.Key
		}
	}
	return ""
}

// bundle returns the mids of the group that holds all sections, or nil. A group may name more than there are: FFmpeg writes
// the same line whatever it sends. The section named first carries the transport, so it must be one that there is.
func bundle(d *sdp.SessionDescription, mids []string) []string {
	for _, a := range d.Attributes {
		group := strings.Fields(a.Value)
		if a.Key != "group" || len(group) == 0 || group[0] != "BUNDLE" {
			continue
		}
		group = slices.DeleteFunc(group[1:], func(mid string) bool { return !slices.Contains(mids, mid) })
		if !slices.ContainsFunc(mids, func(mid string) bool { return !slices.Contains(group, mid) }) {
			return group
		}
	}
	return nil
}

// clean writes the offer for a peer connection, and refuses candidates that cannot be read.
func (o *Offer) clean(text string, group []string) error {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "a=group:") {
			if group == nil {
				continue
			}
			line, group = "a=group:BUNDLE "+strings.Join(group, " "), nil
		}
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			c, err := parseCandidate("candidate:" + value)
			if err != nil {
				return refuse(http.StatusBadRequest, "the SDP offer cannot be used: %s", err)
			}
			if !c.usable() {
				continue
			}
			if !slices.Contains(o.Candidates, c.text) { // a client may repeat all in each section
				o.Candidates = append(o.Candidates, c.text)
			}
			if len(o.Candidates) > maxCandidates {
				return refuse(http.StatusBadRequest, "the SDP offer has more than %d candidates", maxCandidates)
			}
			line = "a=" + c.text
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	o.SDP = b.String()
	return nil
}
