package edge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

// offer is what a subscriber's offer asks for.
type offer struct {
	sdp     string // in which every section of sound or picture is recvonly
	parts   []part // one for each of those sections
	passive bool   // the subscriber cannot begin DTLS
	engine  *webrtc.MediaEngine
}

// readOffer looks at an offer. A section that could also send is answered as if it could not: nothing is received here.
func readOffer(text string) (*offer, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	o := &offer{}
	var kinds []media.Kind
	count := map[media.Kind]int{}
	setup, _ := d.Attribute("setup")
	for _, m := range d.MediaDescriptions {
		if s, ok := m.Attribute("setup"); ok {
			setup = s
		}
		kind := kindOf(m.MediaName.Media)
		if kind == 0 {
			continue
		}
		if count[kind]++; count[kind] > maxPictures {
			return nil, fmt.Errorf("%w: it has more than %d sections of %s", ErrOffer, maxPictures, kind)
		}
		kinds = append(kinds, kind)
		receiveOnly(&d, m)
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("%w: it has neither audio nor video", ErrOffer)
	}
	o.parts = parts(kinds)
	o.passive = setup == "passive"
	feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	extensions := []string{sdp.SDESMidURI, wish.AbsCaptureTime, sdp.ABSSendTimeURI, wish.DependencyDescriptor}
	if reportsArrivals(&d) {
		feedback[0].Type = webrtc.TypeRTCPFBTransportCC
		extensions[2] = sdp.TransportCCURI
	}
	var err error
	if o.engine, err = wish.Codecs(&d, true, feedback, extensions...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	clean, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	o.sdp = string(clean)
	return o, nil
}

// reportsArrivals reports whether a player can tell of its network only when each packet has come. That is answered where it
// is all there is: limits cost the node nothing for a packet. The numbers of packets are counted by one leg, so that a player
// must want one picture.
func reportsArrivals(d *sdp.SessionDescription) bool {
	limits, arrivals, pictures := false, false, 0
	for _, m := range d.MediaDescriptions {
		if kindOf(m.MediaName.Media) != media.Video {
			continue
		}
		pictures++
		for _, a := range m.Attributes {
			if a.Key == "rtcp-fb" {
				limits = limits || strings.HasSuffix(a.Value, " goog-remb")
				arrivals = arrivals || strings.HasSuffix(a.Value, " transport-cc")
			}
		}
	}
	return arrivals && !limits && pictures == 1
}

// kindOf is 0 for a section that carries neither sound nor picture.
func kindOf(name string) media.Kind {
	switch name {
	case "audio":
		return media.Audio
	case "video":
		return media.Video
	}
	return 0
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

// api makes what one peer connection is made of. It has no interceptors: one of the usual set copies every packet for every
// subscriber, and what they do is done here from the ring and from counters. The registry must be there nevertheless,
// without one pion installs its own.
func (e *Edge) api(o *offer, s *Subscriber) *webrtc.API {
	engine := e.cfg.Engine()
	if !o.passive {
		// The player begins DTLS as soon as it has a path; nobody can make the node start handshakes.
		_ = engine.SetAnsweringDTLSRole(webrtc.DTLSRoleServer) // fails for other roles only
		s.keys.Tap(&engine)
	}
	engine.BufferFactory = s.newInbox
	engine.DetachDataChannels() // nothing is read from them
	engine.SetSCTPMaxReceiveBufferSize(channelInbox)
	return webrtc.NewAPI(webrtc.WithMediaEngine(o.engine), webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(engine))
}
