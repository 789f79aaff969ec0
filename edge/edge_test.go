package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

func TestClassIsWatched(t *testing.T) {
	n := newNode(t, nil)
	early := n.join()
	until(t, "a connection without a teacher", func() bool { return early.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
	stop := n.teach(1)
	got := early.whole(120)
	checkFlow(t, got)
	if got[0].SequenceNumber >= 1<<15 || frameOf(&got[0]) != 0 || layerOf(&got[0]) != 0 || got[0].PayloadType != 96 {
		t.Errorf("starts with %v of frame %d", got[0].Header, frameOf(&got[0]))
	}
	if ext := got[0].GetExtension(1); len(ext) != 8 {
		t.Errorf("the first packet has capture time % x, extensions %v", ext, got[0].GetExtensionIDs())
	} else if age := time.Since(time.UnixMicro(media.MicrosFromNTP(binary.BigEndian.Uint64(ext)))); age < 0 || age > time.Minute {
		t.Errorf("the first packet was captured %s ago", age)
	}
	until(t, "sound", func() bool { return len(early.audio()) > 20 })

	late := n.join()
	got = late.whole(90)
	checkFlow(t, got)
	if f := frameOf(&got[0]); f%50 != 0 {
		t.Errorf("the late student starts at frame %d, want a keyframe", f)
	}
	st := n.edge.Status()
	if len(st) != 1 || st[0].Students != 2 || st[0].Layers[0] != 2 || n.edge.Sessions() != 2 || len(st[0].Subscribers) != 2 || !st[0].Subscribers[0].Audio.Playing {
		t.Errorf("status %+v", st)
	}
	for _, track := range n.hub.Status() {
		if track.Requests != 0 || track.Readers != 1 {
			t.Errorf("track %+v", track)
		}
	}

	// The teacher goes and comes back.
	stop()
	before := len(early.video())
	n.teach(2)
	until(t, "media of the returned teacher", func() bool { return len(early.video()) > before+60 })
	got = early.whole(0)[before-before%3:]
	checkFlow(t, got)

	// Students leave, one by DELETE, one by closing.
	late.subscriber.Close(ErrLeft)
	<-late.subscriber.Done()
	_ = early.pc.Close()
	<-early.subscriber.Done()
	if !errors.Is(early.subscriber.reason, ErrLeft) || n.edge.Sessions() != 0 || len(n.edge.Rooms()) != 0 {
		t.Errorf("ended for %v; %d sessions in rooms %v", early.subscriber.reason, n.edge.Sessions(), n.edge.Rooms())
	}
}

func TestLostPacketComesOnTheRepairStream(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := n.join()
	got := s.whole(60)
	lost := got[len(got)-4]
	nack := &rtcp.TransportLayerNack{MediaSSRC: lost.SSRC, SenderSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: lost.SequenceNumber}}}
	if err := s.pc.WriteRTCP([]rtcp.Packet{nack}); err != nil {
		t.Fatal(err)
	}
	until(t, "the repair", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.repairs == 1 })
	copies := 0
	for _, p := range s.video() {
		if p.SequenceNumber == lost.SequenceNumber {
			copies++
			if string(p.Payload) != string(lost.Payload) || p.Timestamp != lost.Timestamp {
				t.Errorf("copy %d differs", copies)
			}
		}
	}
	if copies != 2 {
		t.Errorf("the packet came %d times", copies)
	}
	if st := s.subscriber.Stats(); st.Video.Resent != 1 {
		t.Errorf("status %+v", st.Video)
	}
}

func TestSendersReportAndListen(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := n.join()
	got := s.whole(30)
	for _, receiver := range s.pc.GetReceivers() {
		if receiver.Track().Kind() != webrtc.RTPCodecTypeVideo {
			continue
		}
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			t.Fatal(err)
		}
		sr, ok := packets[0].(*rtcp.SenderReport)
		if !ok || sr.SSRC != got[0].SSRC || sr.PacketCount == 0 {
			t.Errorf("RTCP %v", packets)
		}
	}
	report := &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: got[0].SSRC, FractionLost: 5}}}
	for _, limit := range []float32{3e6, 8e5} {
		if err := s.pc.WriteRTCP([]rtcp.Packet{report, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: limit, SSRCs: []uint32{got[0].SSRC}}}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a smaller layer", func() bool { return s.subscriber.Stats().Video.Layer == 1 })
	checkFlow(t, s.whole(0))
	if st := s.subscriber.Stats().Video; st.Limit != 8e5 || st.Lost == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestSeatsAreLimited(t *testing.T) {
	n := newNode(t, func(c *Config) { c.MaxSubscribers = 1 })
	first := n.join()
	second := newPlayer(t)
	rq := SubscribeRequest{Room: "algebra", Subject: "bert", Offer: second.offer(nil)}
	if _, _, err := n.edge.Subscribe(t.Context(), rq); !errors.Is(err, ErrFull) {
		t.Errorf("a subscriber too many gets %v", err)
	}
	first.subscriber.Close(ErrLeft)
	<-first.subscriber.Done()
	if _, _, err := n.edge.Subscribe(t.Context(), rq); err != nil {
		t.Errorf("the free seat: %v", err)
	}
	n.stop()
	if _, _, err := n.edge.Subscribe(context.Background(), rq); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if n.edge.Sessions() != 0 || n.edge.seats != 0 {
		t.Errorf("%d sessions and %d seats after the end", n.edge.Sessions(), n.edge.seats)
	}
}

func TestWhoNeverConnectsIsLetGo(t *testing.T) {
	n := newNode(t, func(c *Config) { c.ConnectTimeout = 50 * time.Millisecond })
	s := newPlayer(t)
	sub, _, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Offer: s.offer(nil)})
	if err != nil {
		t.Fatal(err)
	}
	<-sub.Done()
	if !errors.Is(sub.reason, ErrUnconnected) {
		t.Errorf("ended for %v", sub.reason)
	}
}

// Some players always open a data channel. Each that is open costs memory, so that they are few.
func TestDataChannelsAreFew(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := newPlayer(t)
	open := func() {
		if _, err := s.pc.CreateDataChannel("chat", nil); err != nil {
			t.Fatal(err)
		}
	}
	open()
	sub, answer, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Offer: s.offer(nil)})
	if err != nil {
		t.Fatal(err)
	}
	s.answer(answer)
	s.whole(10)
	for range maxChannels - 1 {
		open()
	}
	before := len(s.video())
	until(t, "more media", func() bool { return len(s.video()) > before+30 })
	open()
	<-sub.Done()
	if !errors.Is(sub.reason, ErrExcess) {
		t.Errorf("ended for %v", sub.reason)
	}
}

// Where the connection opens the feedback, it makes an inbox for each source that is named.
func TestSourcesAreFew(t *testing.T) {
	n := newNode(t, func(c *Config) { c.Engine = loopback })
	n.teach(1)
	s := n.join()
	s.whole(10)
	name := func(ssrc uint32) {
		if err := s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * maxSources {
		name(1)
	}
	before := len(s.video())
	until(t, "more media", func() bool { return len(s.video()) > before+30 })
	for i := range uint32(maxSources) {
		name(2 + i)
	}
	<-s.subscriber.Done()
	if !errors.Is(s.subscriber.reason, ErrExcess) {
		t.Errorf("ended for %v", s.subscriber.reason)
	}
}

func TestOffersAreAnsweredInKind(t *testing.T) {
	n := newNode(t, nil)
	offer := newPlayer(t).offer(nil)
	subscribe := func(text string) (string, error) {
		sub, answer, err := n.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Offer: text})
		if err == nil {
			sub.Close(ErrLeft)
		}
		return answer, err
	}
	answer, err := subscribe(strings.ReplaceAll(offer, "a=recvonly", "a=sendrecv"))
	if err != nil || strings.Count(answer, "a=sendonly") != 2 || strings.Contains(answer, "a=sendrecv") {
		t.Errorf("sendrecv: %v\n%s", err, answer)
	}
	if strings.Count(answer, "a=msid:algebra ") != 2 || strings.Count(answer, "a=ssrc-group:FID") != 1 || !strings.Contains(answer, "a=candidate:") {
		t.Errorf("the answer is\n%s", answer)
	}
	for _, unknown := range []string{"H265", "profile-id=2", "PCMU", "G722"} {
		if strings.Contains(answer, unknown) {
			t.Errorf("the answer has %s", unknown)
		}
	}
	for role, want := range map[string]string{"actpass": "passive", "active": "passive", "passive": "active"} {
		answer, err := subscribe(strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:"+role))
		if err != nil || !strings.Contains(answer, "a=setup:"+want) {
			t.Errorf("%s: %v\n%s", role, err, answer)
		}
	}
	for name, bad := range map[string]string{
		"nothing":        "",
		"no sections":    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
		"three pictures": offer + offer[strings.Index(offer, "m=video"):] + offer[strings.Index(offer, "m=video"):],
	} {
		if _, err := subscribe(bad); !errors.Is(err, ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n.edge.Sessions() > 4 {
		t.Errorf("%d sessions", n.edge.Sessions())
	}
}

func TestCodecIsChosenByWhatIsPublished(t *testing.T) {
	n := newNode(t, nil)
	stop := n.teach(1)
	s := n.join(
		webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}},
		webrtc.RTPCodecParameters{PayloadType: 108, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "profile-level-id=42e01f;packetization-mode=1",
		}},
		webrtc.RTPCodecParameters{PayloadType: 120, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}},
	)
	if got := s.whole(10); got[0].PayloadType != 120 {
		t.Errorf("VP8 comes as payload type %d", got[0].PayloadType)
	}
	stop()
	track, release := n.hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	defer release()
	track.Start(media.TrackInfo{Kind: media.Video, Source: 2, Layers: make([]media.LayerInfo, 1), Codec: media.Codec{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, Fmtp: "profile-level-id=64001f;packetization-mode=1",
	}})
	number := uint64(1) << 40
	until(t, "H.264", func() bool {
		number++
		track.Write(&media.Packet{
			Source: 2, Number: number, Timestamp: uint32(number * 900), Flags: media.Key | media.First | media.Last, Payload: []byte{0x65, 1, 2},
		})
		got := s.video()
		return got[len(got)-1].PayloadType == 108
	})
}

func TestSubscriberRestartsICE(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := n.join()
	s.whole(30)
	answer, err := s.subscriber.Restart(t.Context(), s.offer(&webrtc.OfferOptions{ICERestart: true}))
	if err != nil {
		t.Fatal(err)
	}
	s.answer(answer)
	before := len(s.video())
	until(t, "media after the restart", func() bool {
		return s.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected && len(s.video()) > before+150
	})
	got := s.whole(0)
	checkFlow(t, got[len(got)-90:]) // what was on the way to the old address may be lost
}

func TestRoomIsClosed(t *testing.T) {
	n := newNode(t, nil)
	s := n.join()
	reason := errors.New("the room was closed")
	n.edge.CloseRoom("geometry", reason)
	n.edge.CloseRoom("algebra", reason)
	<-s.subscriber.Done()
	if s.subscriber.reason != reason {
		t.Errorf("ended for %v", s.subscriber.reason)
	}
	until(t, "the end of the tracks", func() bool { return len(n.hub.Status()) == 0 })
}

func TestConfigSpeaksToTheOperator(t *testing.T) {
	for _, c := range []Config{{}, {Hub: relay.NewHub(relay.Config{}), MaxSubscribers: -1}, {Hub: relay.NewHub(relay.Config{}), ConnectTimeout: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestH264VariantsAreMatched(t *testing.T) {
	b := &binding{codecs: []codec{
		{Codec: media.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "packetization-mode=0;profile-level-id=42e01f"}, payload: 1},
		{Codec: media.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}, payload: 2},
		{Codec: media.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "packetization-mode=1;profile-level-id=640c1f"}, payload: 3},
	}}
	for fmtp, want := range map[string]uint8{
		"profile-level-id=42E020;packetization-mode=1": 2,
		"profile-level-id=42e01f":                      1,
		"packetization-mode=1;profile-level-id=64001f": 3,
		"packetization-mode=1;profile-level-id=4d001f": 2,
		"": 1,
	} {
		if got := b.match(media.Codec{MimeType: "video/h264", ClockRate: 90000, Fmtp: fmtp}); got == nil || got.payload != want {
			t.Errorf("%q is sent as %+v, want payload type %d", fmtp, got, want)
		}
	}
	if got := (&binding{codecs: b.codecs[:1]}).match(media.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "packetization-mode=1"}); got != nil {
		t.Errorf("fragments are sent to a player that takes none: %+v", got)
	}
}
