package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// captureURI names the header extension that carries when media was captured.
const captureURI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

const (
	// iceQuiet is how long a node may say nothing at all, neither media nor an answer to a check, before it counts as gone.
	iceQuiet = 1500 * time.Millisecond
	// iceCheck is the pause between two checks of a silent connection: three may be lost.
	iceCheck = 500 * time.Millisecond
	// connectTime bounds the way from the answer to a connection; past that the next node is tried.
	connectTime = 8 * time.Second
)

// feedback is what a browser offers for video.
var feedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}

// opusCodec is the sound that both sides speak.
var opusCodec = webrtc.RTPCodecParameters{
	RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	},
	PayloadType: 111,
}

// video makes a codec of 90 kHz.
func video(mime, fmtp string, feedback []webrtc.RTCPFeedback, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp, RTCPFeedback: feedback},
		PayloadType:        pt,
	}
}

// newPublishAPI makes what a publisher needs: VP8 and Opus, simulcast, and repair of what the server missed.
func newPublishAPI(tune func(*webrtc.SettingEngine)) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	err := errors.Join(
		m.RegisterCodec(video(webrtc.MimeTypeVP8, "", feedback, 96), webrtc.RTPCodecTypeVideo),
		m.RegisterCodec(opusCodec, webrtc.RTPCodecTypeAudio),
		extend(m, sdp.SDESMidURI, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio),
		extend(m, sdp.SDESRTPStreamIDURI, webrtc.RTPCodecTypeVideo),
		extend(m, captureURI, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio),
	)
	repair, rerr := nack.NewResponderInterceptor()
	if err := errors.Join(err, rerr); err != nil {
		return nil, fmt.Errorf("set up publishing: %w", err)
	}
	chain := &interceptor.Registry{}
	chain.Add(repair)
	return newAPI(m, chain, tune), nil
}

// newWatchAPI makes what all students share: VP8 and H.264 with retransmission, Opus, and nothing on the way in.
func newWatchAPI(tune func(*webrtc.SettingEngine)) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	var errs []error
	for i, c := range []struct{ mime, fmtp string }{
		{webrtc.MimeTypeVP8, ""},
		{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
		{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"},
		{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"},
		{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"},
	} {
		pt := webrtc.PayloadType(96 + 2*i)
		errs = append(errs,
			m.RegisterCodec(video(c.mime, c.fmtp, feedback, pt), webrtc.RTPCodecTypeVideo),
			m.RegisterCodec(video(webrtc.MimeTypeRTX, fmt.Sprintf("apt=%d", pt), nil, pt+1), webrtc.RTPCodecTypeVideo))
	}
	errs = append(errs,
		m.RegisterCodec(opusCodec, webrtc.RTPCodecTypeAudio),
		extend(m, sdp.SDESMidURI, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio),
		extend(m, captureURI, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio))
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("set up watching: %w", err)
	}
	return newAPI(m, &interceptor.Registry{}, tune), nil
}

func newAPI(m *webrtc.MediaEngine, chain *interceptor.Registry, tune func(*webrtc.SettingEngine)) *webrtc.API {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetICETimeouts(iceQuiet, iceQuiet, iceCheck)
	if tune != nil {
		tune(&s)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(s))
}

// extend registers a header extension for each kind.
func extend(m *webrtc.MediaEngine, uri string, kinds ...webrtc.RTPCodecType) error {
	for _, k := range kinds {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, k); err != nil {
			return err
		}
	}
	return nil
}

// extensionID is the number that was agreed on for a header extension, or 0.
func extensionID(p webrtc.RTPParameters, uri string) uint8 {
	for _, e := range p.HeaderExtensions {
		if e.URI == uri {
			return uint8(e.ID)
		}
	}
	return 0
}

// peer is a PeerConnection whose end can be waited for.
type peer struct {
	*webrtc.PeerConnection
	// up is closed when it is connected.
	up chan struct{}
	// down receives once why it ended.
	down chan error
}

// newPeer makes a peer from a PeerConnection that has done nothing yet.
func newPeer(pc *webrtc.PeerConnection) *peer {
	p := &peer{PeerConnection: pc, up: make(chan struct{}), down: make(chan error, 1)}
	var connected sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		var why error
		switch s {
		case webrtc.PeerConnectionStateConnected:
			connected.Do(func() { close(p.up) })
			return
		case webrtc.PeerConnectionStateDisconnected:
			why = errors.New("the node no longer answers")
		case webrtc.PeerConnectionStateFailed:
			why = errors.New("no way to the node was found or the encryption failed")
		case webrtc.PeerConnectionStateClosed:
			why = errors.New("the node ended the session")
		default:
			return
		}
		select {
		case p.down <- why:
		default:
		}
	})
	return p
}

// exchange makes the offer with all candidates in it, has it answered by ask, and takes the answer. An answer that was
// given is returned even with an error, so that the session can be ended.
func (p *peer) exchange(ctx context.Context, ask func(ctx context.Context, offer string) (answered, error)) (answered, error) {
	offer, err := p.CreateOffer(nil)
	if err != nil {
		return answered{}, fmt.Errorf("make an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(offer); err != nil {
		return answered{}, fmt.Errorf("use the own offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return answered{}, ctx.Err()
	}
	a, err := ask(ctx, p.LocalDescription().SDP)
	if err != nil {
		return answered{}, err
	}
	if err := p.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a.sdp}); err != nil {
		return a, fmt.Errorf("use the answer of %s: %w", a.host, err)
	}
	return a, nil
}

// connected waits for the connection.
func (p *peer) connected(ctx context.Context) error {
	t := time.NewTimer(connectTime)
	defer t.Stop()
	select {
	case <-p.up:
		return nil
	case err := <-p.down:
		return err
	case <-t.C:
		return fmt.Errorf("no connection within %s", connectTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}
