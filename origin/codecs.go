package origin

import (
	"fmt"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/routing/wish"
)

// mediaEngine makes a media engine for one offer.
func mediaEngine(offer string) (*webrtc.MediaEngine, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(offer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	engine, err := wish.Codecs(&d, false, feedback,
		sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, wish.AbsCaptureTime,
		wish.DependencyDescriptor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	return engine, nil
}
