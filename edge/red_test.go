package edge

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/routing/wish"
)

func TestRedundantSoundForThoseWhoAskForIt(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	opus := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111,
	}
	red := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: wish.MimeTypeRED, ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111"}, PayloadType: 63,
	}
	picture := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96,
	}
	s := n.join(red, opus, picture)
	until(t, "redundant sound", func() bool { return len(s.audio()) > 30 })
	got := s.audio()
	for i := range got {
		b := got[i].Payload
		if got[i].PayloadType != 63 {
			t.Fatalf("packet %d has the type %d", i, got[i].PayloadType)
		}
		head := binary.BigEndian.Uint32(b)
		distance, size := head>>10&0x3fff, int(head&0x3ff)
		if head>>24 != 0x80|111 || distance != 1920 || b[4] != 111 || !bytes.Equal(b[5:5+size], []byte{1, 2, 3}) || !bytes.Equal(b[5+size:], []byte{1, 2, 3}) {
			if i == 0 && bytes.Equal(b, []byte{111, 1, 2, 3}) {
				continue // there was none before it
			}
			t.Fatalf("packet %d: %x", i, b)
		}
	}
	nack := &rtcp.TransportLayerNack{MediaSSRC: got[20].SSRC, SenderSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: got[20].SequenceNumber}}}
	before := n.counter("lyceum_edge_resends_total", "gone")
	if err := s.pc.WriteRTCP([]rtcp.Packet{nack}); err != nil {
		t.Fatal(err)
	}
	until(t, "the refusal", func() bool { return n.counter("lyceum_edge_resends_total", "gone") > before })

	plain := newPlayer(t, opus, red, picture)
	offer := plain.offer(nil)
	_, answer, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Subject: "bo", Offer: offer})
	if err != nil || strings.Contains(strings.ToLower(answer), "red/48000") {
		t.Errorf("who prefers plain sound is answered (%v)\n%s", err, answer)
	}
}

func TestRedundantSoundStaysWithinAPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClass(t, media.Audio)
		c.leg.codec = &codec{payload: 111}
		write := func(number uint64, size int) *media.Packet {
			p := &media.Packet{Source: 1, Number: number, Timestamp: uint32(960 * number), Payload: make([]byte, size)}
			c.track.Write(p)
			return p
		}
		c.track.Start(media.TrackInfo{
			Kind: media.Audio, Source: 1, Layers: make([]media.LayerInfo, 1),
			Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2},
		})
		write(1000, 600)
		if n := len(c.leg.redundant(c.pump, write(1001, 600)).Payload); n != 5+1200 {
			t.Errorf("two of 600 bytes make %d", n)
		}
		if n := len(c.leg.redundant(c.pump, write(1002, 700)).Payload); n != 1+700 {
			t.Errorf("one of 700 bytes after one of 600 makes %d, want it alone", n)
		}
	})
}
