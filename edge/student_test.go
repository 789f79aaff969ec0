package edge

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"lyceum/edge/fan"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/routing/wish"
)

func loopback() webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return s
}

// node is an edge with its hub.
type node struct {
	t    *testing.T
	hub  *relay.Hub
	edge *Edge
	stop func()

	registry *prometheus.Registry
}

func newNode(t *testing.T, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, hub: relay.NewHub(relay.Config{Linger: 50 * time.Millisecond})}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n.registry = prometheus.NewRegistry()
	out, err := fan.New(fan.Config{Registerer: n.registry}, socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: out.Sockets()[0]})
	cfg := Config{Hub: n.hub, Fan: out, Registerer: n.registry, Engine: func() webrtc.SettingEngine {
		s := loopback()
		s.SetICEUDPMux(mux)
		return s
	}}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.edge = e
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	wg.Go(func() { _ = n.hub.Run(ctx) })
	n.stop = func() { cancel(); wg.Wait(); _ = mux.Close() }
	t.Cleanup(n.stop)
	return n
}

// teach writes a camera and a microphone in real time until the test or stop ends it.
func (n *node) teach(source uint32) (stop func()) {
	return n.publish(source, media.Camera, media.Microphone)
}

// publish writes a picture and a sound in real time until the test or stop ends it.
func (n *node) publish(source uint32, picture, voice string) (stop func()) {
	camera, freeCamera := n.hub.Acquire(media.TrackID{Room: "algebra", Name: picture})
	sound, freeSound := n.hub.Acquire(media.TrackID{Room: "algebra", Name: voice})
	te := newTeacher(camera, source)
	sound.Start(media.TrackInfo{
		Kind: media.Audio, Source: source, Layers: make([]media.LayerInfo, 1),
		Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2},
	})
	ctx, cancel := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer freeCamera()
		defer freeSound()
		defer sound.Stop()
		defer camera.Stop()
		tick := time.NewTicker(frameTime)
		defer tick.Stop()
		for i := uint64(1); ; i++ {
			te.write()
			sound.Write(&media.Packet{
				Source: source, Number: uint64(source)<<32 + i, Timestamp: uint32(1920 * i), Captured: time.Now().UnixMicro(),
				Flags: media.First | media.Last, Payload: []byte{1, 2, 3},
			})
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	stop = func() { cancel(); wg.Wait() }
	n.t.Cleanup(stop)
	return stop
}

// student is a player without any interceptor: what is lost stays lost unless the test asks for it.
type student struct {
	t          *testing.T
	pc         *webrtc.PeerConnection
	subscriber *Subscriber

	mu      sync.Mutex
	packets map[webrtc.RTPCodecType][]rtp.Packet
	tracks  map[string]int // packets of each track, by its name in the answer
	repairs int            // packets that came as repair packets
	last    time.Time      // when the last packet of the picture came
	pause   time.Duration  // the longest time between two of them
}

// newPlayer makes a peer connection that wants sound and picture. Change may take codecs away.
func newPlayer(t *testing.T, codecs ...webrtc.RTPCodecParameters) *student {
	t.Helper()
	return newPlayerWith(t, loopback(), codecs...)
}

func newPlayerWith(t *testing.T, settings webrtc.SettingEngine, codecs ...webrtc.RTPCodecParameters) *student {
	t.Helper()
	m := &webrtc.MediaEngine{}
	if len(codecs) == 0 {
		if err := m.RegisterDefaultCodecs(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range codecs {
		kind := webrtc.RTPCodecTypeVideo
		if strings.HasPrefix(c.MimeType, "audio/") {
			kind = webrtc.RTPCodecTypeAudio
		}
		if err := m.RegisterCodec(c, kind); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: wish.AbsCaptureTime}, kind); err != nil {
			t.Fatal(err)
		}
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	s := &student{t: t, pc: pc, packets: map[webrtc.RTPCodecType][]rtp.Packet{}, tracks: map[string]int{}}
	pc.OnTrack(s.read)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *student) read(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	for {
		p, attributes, err := track.ReadRTP()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.packets[track.Kind()] = append(s.packets[track.Kind()], *p)
		s.tracks[track.ID()]++
		if now := time.Now(); track.Kind() == webrtc.RTPCodecTypeVideo {
			if !s.last.IsZero() {
				s.pause = max(s.pause, now.Sub(s.last))
			}
			s.last = now
		}
		if attributes.Get(webrtc.AttributeRtxSequenceNumber) != nil {
			s.repairs++
		}
		s.mu.Unlock()
	}
}

func (s *student) offer(opts *webrtc.OfferOptions) string {
	s.t.Helper()
	offer, err := s.pc.CreateOffer(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		s.t.Fatal(err)
	}
	<-gathered
	return s.pc.LocalDescription().SDP
}

func (s *student) answer(text string) {
	s.t.Helper()
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		s.t.Fatal(err)
	}
}

// join subscribes a new student.
func (n *node) join(codecs ...webrtc.RTPCodecParameters) *student {
	n.t.Helper()
	s := newPlayer(n.t, codecs...)
	n.admit(s, s.offer(nil))
	return s
}

// admit subscribes a player with its offer.
func (n *node) admit(s *student, offer string) {
	n.t.Helper()
	sub, answer, err := n.edge.Subscribe(n.t.Context(), SubscribeRequest{Room: "algebra", Subject: "anna", Offer: offer})
	if err != nil {
		n.t.Fatal(err)
	}
	s.subscriber = sub
	s.answer(answer)
}

// counter reads a metric; label is the value of its label, "" for none.
func (n *node) counter(name, label string) int {
	n.t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == name && (label == "" || len(l) == 1 && l[0].GetValue() == label) {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	n.t.Fatalf("no metric %s of %q", name, label)
	return 0
}

func (s *student) video() []rtp.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]rtp.Packet(nil), s.packets[webrtc.RTPCodecTypeVideo]...)
}

func (s *student) audio() []rtp.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]rtp.Packet(nil), s.packets[webrtc.RTPCodecTypeAudio]...)
}

// whole waits for a number of video packets and leaves out the frame that is not finished.
func (s *student) whole(n int) []rtp.Packet {
	s.t.Helper()
	until(s.t, "video", func() bool { return len(s.video()) >= n })
	got := s.video()
	for len(got) > 0 && !got[len(got)-1].Marker {
		got = got[:len(got)-1]
	}
	return got
}

// until repeats a look until it says that it is done.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !look() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
