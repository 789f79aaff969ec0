package edge

import (
	"strings"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

func TestMediaIsSealedByTheFanWhereItCanBe(t *testing.T) {
	profiles := func(p ...dtls.SRTPProtectionProfile) webrtc.SettingEngine {
		s := loopback()
		s.SetSRTPProtectionProfiles(p...)
		return s
	}
	for name, c := range map[string]struct {
		change func(*Config)
		player webrtc.SettingEngine
		offer  func(string) string
		sender string
	}{
		"a browser":             {nil, loopback(), nil, "fan"},
		"AES-128-GCM alone":     {nil, profiles(dtls.SRTP_AEAD_AES_128_GCM), nil, "fan"},
		"an old player, AES-CM": {nil, profiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80), nil, "fan"},
		"a player that waits for the handshake": {nil, loopback(), func(offer string) string {
			return strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:passive")
		}, "connection"},
		"sockets that are not shared": {func(c *Config) { c.Engine = loopback }, loopback(), nil, "connection"},
		"no fan":                      {func(c *Config) { c.Fan = nil }, loopback(), nil, "connection"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, c.change)
			n.teach(1)
			s := newPlayerWith(t, c.player)
			offer := s.offer(nil)
			if c.offer != nil {
				offer = c.offer(offer)
			}
			n.admit(s, offer)
			got := s.whole(100)
			checkFlow(t, got)
			until(t, "sound", func() bool { return len(s.audio()) > 10 })
			if n.counter("lyceum_edge_routes_total", c.sender) != 1 {
				t.Errorf("the media is not sealed by the %s", c.sender)
			}
			lost := got[len(got)-5]
			nack := &rtcp.TransportLayerNack{MediaSSRC: lost.SSRC, SenderSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}}
			if err := s.pc.WriteRTCP([]rtcp.Packet{nack}); err != nil {
				t.Fatal(err)
			}
			until(t, "the repair", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.repairs == 1 })
			if c.sender == "fan" && n.counter("lyceum_fan_packets_total", "") < len(s.video()) {
				t.Errorf("the fan has sent %d packets", n.counter("lyceum_fan_packets_total", ""))
			}
		})
	}
}

// A new path must not begin the keys' counters again: the same packet numbers would be sealed twice.
func TestAStudentWhoMovesIsServedOnTheNewPath(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := n.join()
	s.whole(30)
	before := s.port(t)
	answer, err := s.subscriber.Restart(t.Context(), s.offer(&webrtc.OfferOptions{ICERestart: true}))
	if err != nil {
		t.Fatal(err)
	}
	s.answer(answer)
	until(t, "a new path", func() bool { return s.port(t) != before })
	have := len(s.video())
	until(t, "media on the new path", func() bool { return len(s.video()) > have+150 })
	got := s.whole(0)
	checkFlow(t, got[len(got)-90:]) // what was on the way to the old one may be lost
	if n.counter("lyceum_edge_routes_total", "fan") != 1 || n.counter("lyceum_fan_packets_dropped_total", "failed") != 0 {
		t.Error("the move was counted as a new connection, or packets failed")
	}
}

// port is the player's own port on the path that is used, 0 for none.
func (s *student) port(t *testing.T) uint16 {
	t.Helper()
	pair, err := s.pc.GetReceivers()[0].Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil {
		t.Fatal(err)
	}
	if pair == nil {
		return 0
	}
	return pair.Local.Port
}
