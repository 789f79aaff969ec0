package node

import (
	"fmt"
	"net"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// ICE timeouts. Browsers check every 2.5 s or so, and Firefox needs some seconds to settle on a pair, so that a peer is
// missed after 5 s and given up after 15 s more (RFC 7675 allows 30 s without consent).
const (
	iceDisconnected = 5 * time.Second
	iceFailed       = 15 * time.Second
	iceKeepalive    = 2 * time.Second
)

// newEngine makes the settings of every peer connection of this node: all share the media sockets, which are
// those of s.WebRTC as they are to be used, and none looks for addresses of its own.
func newEngine(s *Sockets, media []net.PacketConn, public []string) (engine func() webrtc.SettingEngine, closeMux func() error, err error) {
	var muxes []ice.UDPMux
	looped := false
	for _, c := range media {
		udp, ok := c.LocalAddr().(*net.UDPAddr)
		if !ok {
			return nil, nil, fmt.Errorf("media socket at %s is not UDP", c.LocalAddr())
		}
		looped = looped || udp.IP.IsLoopback()
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c}))
	}
	mux := muxes[0]
	if len(muxes) > 1 {
		mux = ice.NewMultiUDPMuxDefault(muxes...)
	}
	base := s.Engine
	if base == nil {
		shared, err := stdnet.NewNet()
		if err != nil {
			return nil, nil, fmt.Errorf("list the interfaces of this machine: %w", err)
		}
		base = func() webrtc.SettingEngine {
			var e webrtc.SettingEngine
			e.SetNet(shared)
			return e
		}
	}
	// As host candidates: some publishers look at no others.
	rewrite := webrtc.ICEAddressRewriteRule{
		External: public, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
	}
	var probe webrtc.SettingEngine
	if len(public) > 0 {
		if err := probe.SetICEAddressRewriteRules(rewrite); err != nil {
			return nil, nil, fmt.Errorf("addresses: %w", err)
		}
	}
	logs := newPeerLogs()
	return func() webrtc.SettingEngine {
		e := base()
		e.LoggerFactory = logs
		e.SetICEUDPMux(mux)
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
		e.SetIncludeLoopbackCandidate(looped)
		e.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
		e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
		if len(public) > 0 {
			_ = e.SetICEAddressRewriteRules(rewrite) // the probe has taken it
		}
		return e
	}, mux.Close, nil
}
