package origin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/routing/wish"
)

// loopback keeps ICE on 127.0.0.1.
func loopback() webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICETimeouts(2*time.Second, 3*time.Second, 500*time.Millisecond)
	return s
}

// start runs an origin with its hub until the test ends.
func start(t *testing.T, cfg Config) (*Origin, *relay.Hub) {
	t.Helper()
	hub := relay.NewHub(relay.Config{Linger: time.Minute})
	cfg.Hub, cfg.Engine = hub, loopback
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = o.Run(ctx) })
	wg.Go(func() { _ = hub.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return o, hub
}

// teacher is a publisher's side: a camera in the given layers, and a microphone.
type teacher struct {
	t      *testing.T
	pc     *webrtc.PeerConnection
	rids   []string
	camera []*webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	sound  *webrtc.TrackLocalStaticRTP
	offer  string
	plis   chan uint32

	seq [4]uint16
	ts  uint32
	mu  sync.Mutex
	// Guarded by mu.
	asked map[uint16]int // by sequence number
}

func newTeacher(t *testing.T, mime string, rids ...string) *teacher {
	t.Helper()
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, wish.AbsCaptureTime, wish.DependencyDescriptor} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(loopback()), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	e := &teacher{t: t, pc: pc, rids: rids, plis: make(chan uint32, 64), asked: map[uint16]int{}}
	if len(rids) == 0 {
		rids = []string{""}
	}
	for i, rid := range rids {
		var opts []func(*webrtc.TrackLocalStaticRTP)
		if rid != "" {
			opts = append(opts, webrtc.WithRTPStreamID(rid))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}, "camera", "class", opts...)
		if err != nil {
			t.Fatal(err)
		}
		e.camera = append(e.camera, track)
		if i == 0 {
			tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			if err != nil {
				t.Fatal(err)
			}
			e.sender = tr.Sender()
		} else if err := e.sender.AddEncoding(track); err != nil {
			t.Fatal(err)
		}
	}
	e.sound, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "microphone", "class")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTransceiverFromTrack(e.sound, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	e.makeOffer(nil)
	return e
}

func (e *teacher) makeOffer(opts *webrtc.OfferOptions) {
	e.t.Helper()
	offer, err := e.pc.CreateOffer(opts)
	if err != nil {
		e.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(e.pc)
	if err := e.pc.SetLocalDescription(offer); err != nil {
		e.t.Fatal(err)
	}
	<-gathered
	e.offer = e.pc.LocalDescription().SDP
}

// connect takes the answer in and waits for the connection.
func (e *teacher) connect(answer string) {
	e.t.Helper()
	connected := make(chan struct{})
	var once sync.Once
	e.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(connected) })
		}
	})
	if err := e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-connected:
	case <-time.After(10 * time.Second):
		e.t.Fatal("the teacher did not connect")
	}
	read := func(next func() ([]rtcp.Packet, interceptor.Attributes, error)) {
		for {
			packets, _, err := next()
			if err != nil {
				return
			}
			for _, p := range packets {
				e.heard(p)
			}
		}
	}
	if len(e.rids) == 0 {
		go read(e.sender.ReadRTCP)
	}
	for _, rid := range e.rids {
		go read(func() ([]rtcp.Packet, interceptor.Attributes, error) { return e.sender.ReadSimulcastRTCP(rid) })
	}
}

func (e *teacher) heard(p rtcp.Packet) {
	switch p := p.(type) {
	case *rtcp.PictureLossIndication:
		select {
		case e.plis <- p.MediaSSRC:
		default:
		}
	case *rtcp.TransportLayerNack:
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, pair := range p.Nacks {
			for _, seq := range pair.PacketList() {
				e.asked[seq]++
			}
		}
	}
}

// packet makes the next packet of a layer.
func (e *teacher) packet(layer int, payload []byte, marker bool) *rtp.Packet {
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: e.seq[layer], Timestamp: e.ts, Marker: marker}, Payload: payload}
	e.seq[layer]++
	for _, x := range e.sender.GetParameters().HeaderExtensions {
		var value string
		switch x.URI {
		case sdp.SDESMidURI:
			value = "0"
		case sdp.SDESRTPStreamIDURI:
			if len(e.rids) > 0 {
				value = e.rids[layer]
			}
		}
		if value == "" {
			continue
		}
		if err := p.SetExtension(uint8(x.ID), []byte(value)); err != nil {
			e.t.Fatal(err)
		}
	}
	return p
}

func (e *teacher) send(layer int, payload []byte, marker bool) {
	e.t.Helper()
	if err := e.camera[layer].WriteRTP(e.packet(layer, payload, marker)); err != nil {
		e.t.Fatal(err)
	}
}

// frame sends a frame of two packets on each layer, and a packet of sound. The layers are 320, 640 and 1280 wide.
func (e *teacher) frame(key bool) {
	e.t.Helper()
	for l := range e.camera {
		first := []byte{0x10, 0x51, 0, 0, 1}
		if key {
			w, h := 320<<l, 180<<l
			first = []byte{0x10, 0x50, 0, 0, 0x9d, 0x01, 0x2a, byte(w), byte(w >> 8), byte(h), byte(h >> 8)}
		}
		e.send(l, first, false)
		e.send(l, append([]byte{0x00}, make([]byte, 300<<l)...), true)
	}
	if err := e.sound.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: e.seq[3], Timestamp: uint32(e.seq[3]) * 960}, Payload: []byte{0xfc, 1}}); err != nil {
		e.t.Fatal(err)
	}
	e.seq[3]++
	e.ts += 3000
}

// until repeats a step until it says that it is done.
func until(t *testing.T, what string, step func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(15 * time.Second)
	for !step() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

func publish(t *testing.T, o *Origin, room, subject string, e *teacher) *Publisher {
	t.Helper()
	p, answer, err := o.Publish(t.Context(), PublishRequest{Room: room, Subject: subject, Offer: e.offer})
	if err != nil {
		t.Fatal(err)
	}
	e.connect(answer)
	return p
}

func ended(t *testing.T, p *Publisher, want error) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(15 * time.Second):
		t.Fatal("the publisher does not end")
	}
	if !errors.Is(p.Err(), want) {
		t.Errorf("it ended by %v, want %v", p.Err(), want)
	}
}

func TestThreeLayersAndSoundBecomeTracks(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8, "q", "h", "f")
	p := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	microphone, release2 := hub.Acquire(media.TrackID{Room: "math", Name: media.Microphone})
	defer release2()
	r := camera.NewReader()
	defer r.Close()
	r.Want(media.AllLayers)
	frames := 0
	until(t, "three layers of known size and rate, and sound", func() bool {
		e.frame(frames%10 == 0)
		frames++
		info := camera.State().Info
		known := len(info.Layers) == 3 && microphone.State().Live
		for _, l := range info.Layers {
			known = known && l.Width > 0 && l.Bitrate > 1
		}
		return known
	})
	info := camera.State().Info
	if info.Codec.MimeType != webrtc.MimeTypeVP8 || info.Codec.ClockRate != 90000 || info.Source == 0 {
		t.Errorf("the track is %+v", info)
	}
	widths := map[string]uint16{"q": 320, "h": 640, "f": 1280}
	for _, l := range info.Layers {
		if widths[l.RID] != l.Width {
			t.Errorf("layer %q is %d wide, want %d", l.RID, l.Width, widths[l.RID])
		}
	}
	// What a student gets of each layer: numbers without a hole, whole keyframes.
	last := map[media.Layer]media.Packet{}
	keys := map[media.Layer]int{}
	var got media.Packet
	for r.Next(&got) {
		before, ok := last[got.Layer]
		if ok && got.Number != before.Number+1 {
			t.Fatalf("layer %d: number %d after %d", got.Layer, got.Number, before.Number)
		}
		if ok && before.Flags.Has(media.Last) && (got.Frame != before.Frame+1 || !got.Flags.Has(media.First)) {
			t.Fatalf("layer %d: after a frame's end comes %+v", got.Layer, got.Flags)
		}
		if got.Flags.Has(media.Key | media.First) {
			keys[got.Layer]++
		}
		c := got
		c.Payload = nil
		last[got.Layer] = c
	}
	if len(keys) != 3 {
		t.Errorf("keyframes per layer: %v", keys)
	}
	if got.Number < uint64(time.Now().Add(-time.Hour).UnixMilli())<<20 {
		t.Errorf("the number %d is not of this time", got.Number)
	}
	s := p.Stats()
	if !s.Connected || len(s.Tracks) != 2 || len(s.Tracks[0].Layers) != 3 || s.Tracks[0].Layers[0].Packets == 0 {
		t.Errorf("status %+v", s)
	}
	p.Close(ErrLeft)
	ended(t, p, ErrLeft)
	if camera.State().Live || microphone.State().Live || o.Publishers() != 0 {
		t.Error("the tracks are still live after their publisher ended")
	}
}

func TestAKeyframeIsAskedOfTheLayerThatNeedsIt(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8, "q", "f")
	publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "two layers", func() bool { e.frame(true); return len(camera.State().Info.Layers) == 2 })
	for l, info := range camera.State().Info.Layers {
		r := camera.NewReader()
		defer r.Close()
		r.RequestKeyframe(media.Layer(l))
		want := uint32(e.sender.GetParameters().Encodings[map[string]int{"q": 0, "f": 1}[info.RID]].SSRC)
		select {
		case got := <-e.plis:
			if got != want {
				t.Errorf("layer %q: the request went to SSRC %d, want %d", info.RID, got, want)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("layer %q: no request came", info.RID)
		}
	}
}

func TestAMissingPacketIsAskedForAndFindsItsPlace(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	p := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "a layer", func() bool { e.frame(true); _, ok := camera.Head(0); return ok })
	lost := e.packet(0, []byte{0x10, 0x51, 1}, true)
	e.ts += 3000
	e.frame(false)
	until(t, "a request for the missing packet", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.asked[lost.SequenceNumber] > 0
	})
	if err := e.camera[0].WriteRTP(lost); err != nil {
		t.Fatal(err)
	}
	until(t, "the repair", func() bool { return p.Stats().Tracks[0].Layers[0].Repaired == 1 })
	head, _ := camera.Head(0)
	var got media.Packet
	until(t, "the packet in its place", func() bool { return camera.Packet(0, head-2, &got) })
	if got.Timestamp != lost.Timestamp {
		t.Errorf("in its place is %+v", got)
	}
}

func TestSessionThatNeverSendsHoldsItsRoomForAMoment(t *testing.T) {
	var later atomic.Int64
	o, _ := start(t, Config{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	first := newTeacher(t, webrtc.MimeTypeVP8)
	p, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "anna", Offer: first.offer})
	if err != nil {
		t.Fatal(err)
	}
	again := PublishRequest{Room: "math", Subject: "anna", Offer: newTeacher(t, webrtc.MimeTypeVP8).offer}
	later.Store(int64(patience - time.Second))
	if _, _, err := o.Publish(t.Context(), again); !errors.Is(err, ErrOccupied) {
		t.Errorf("while the first session may be about to send: %v, want ErrOccupied", err)
	}
	later.Store(int64(patience))
	if _, _, err := o.Publish(t.Context(), again); err != nil {
		t.Errorf("after its patience: %v", err)
	}
	ended(t, p, ErrReplaced)
}

func TestOneTeacherInARoom(t *testing.T) {
	var later atomic.Int64
	o, hub := start(t, Config{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	first := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "media", func() bool { e.frame(true); _, ok := camera.Head(0); return ok })
	before := camera.State().Info.Source

	other := newTeacher(t, webrtc.MimeTypeVP8)
	if _, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "bert", Offer: other.offer}); !errors.Is(err, ErrOccupied) {
		t.Fatalf("another person: %v", err)
	}
	if _, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "anna", Offer: other.offer}); !errors.Is(err, ErrOccupied) {
		t.Fatalf("the same person, whose session sends: %v", err)
	}
	// A packet that is still on its way counts as sent when it arrives.
	until(t, "the silence of the first session, and nonsense of the same person", func() bool {
		later.Add(int64(quiet))
		_, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "anna", Offer: "v=0 nonsense"})
		return errors.Is(err, ErrOffer)
	})
	if _, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "bert", Offer: other.offer}); !errors.Is(err, ErrOccupied) {
		t.Fatalf("another person, after a silence: %v", err)
	}
	if first.Err() != nil {
		t.Fatalf("an offer that cannot be answered ended the session before it: %v", first.Err())
	}

	again := newTeacher(t, webrtc.MimeTypeVP8)
	var p *Publisher
	var answer string
	until(t, "the return of the same person", func() bool {
		later.Add(int64(quiet))
		var err error
		p, answer, err = o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "anna", Offer: again.offer})
		return err == nil
	})
	ended(t, first, ErrReplaced)
	if camera.State().Live {
		t.Error("the camera is live between two sessions")
	}
	head, _ := camera.Head(0)
	again.connect(answer)
	until(t, "media of the new session", func() bool { again.frame(true); h, _ := camera.Head(0); return h > head })
	if s := camera.State(); !s.Live || s.Info.Source == before {
		t.Errorf("after the return: live %v, source %d, before %d", s.Live, s.Info.Source, before)
	}
	if o.Publishers() != 1 || p.Err() != nil {
		t.Errorf("%d publishers, the new one ended by %v", o.Publishers(), p.Err())
	}
}

func TestARoomIsFreeAsSoonAsItsTeacherIsToLeave(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	first := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "media", func() bool { e.frame(true); _, ok := camera.Head(0); return ok })
	first.Close(ErrLeft)
	if _, _, err := o.Publish(t.Context(), PublishRequest{Room: "math", Subject: "bert", Offer: newTeacher(t, webrtc.MimeTypeVP8).offer}); err != nil {
		t.Errorf("the next teacher: %v", err)
	}
	ended(t, first, ErrLeft)
}

func TestRestartKeepsMediaFlowing(t *testing.T) {
	o, hub := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	p := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "media", func() bool { e.frame(true); _, ok := camera.Head(0); return ok })

	old := e.pc.RemoteDescription().SDP
	e.makeOffer(&webrtc.OfferOptions{ICERestart: true})
	f, err := wish.FragmentOf(e.offer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Restart(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	was, err := wish.FragmentOf(old)
	if err != nil {
		t.Fatal(err)
	}
	if got.Ufrag == "" || got.Ufrag == was.Ufrag || len(got.Candidates) == 0 || !got.End {
		t.Fatalf("the node's part: %+v, before: %+v", got, was)
	}
	if err := e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: got.Into(old)}); err != nil {
		t.Fatal(err)
	}
	until(t, "ICE again", func() bool { return e.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected })
	head, _ := camera.Head(0)
	until(t, "media again", func() bool { e.frame(true); h, _ := camera.Head(0); return h > head+20 })
	if p.Err() != nil {
		t.Errorf("the session ended: %v", p.Err())
	}
}

func TestATeacherWhoLeavesOrNeverComes(t *testing.T) {
	o, hub := start(t, Config{ConnectTimeout: 300 * time.Millisecond})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	p := publish(t, o, "math", "anna", e)
	camera, release := hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	until(t, "media", func() bool { e.frame(true); return camera.State().Live })
	left := time.Now()
	if err := e.pc.Close(); err != nil {
		t.Fatal(err)
	}
	ended(t, p, ErrLeft)
	if d := time.Since(left); d > time.Second {
		t.Errorf("noticed after %s", d)
	}

	ghost := newTeacher(t, webrtc.MimeTypeVP8)
	p, _, err := o.Publish(t.Context(), PublishRequest{Room: "art", Subject: "cleo", Offer: ghost.offer})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, p, ErrUnconnected)
}

func TestRunEndsEverything(t *testing.T) {
	hub := relay.NewHub(relay.Config{})
	o, err := New(Config{Hub: hub, Engine: loopback})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	var publishers []*Publisher
	for i := range 3 {
		e := newTeacher(t, webrtc.MimeTypeVP8)
		publishers = append(publishers, publish(t, o, fmt.Sprintf("room%d", i), "anna", e))
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, p := range publishers {
		ended(t, p, ErrClosed)
	}
	e := newTeacher(t, webrtc.MimeTypeVP8)
	if _, _, err := o.Publish(t.Context(), PublishRequest{Room: "late", Subject: "anna", Offer: e.offer}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestACloseOfTheRoomEndsItsPublisher(t *testing.T) {
	o, _ := start(t, Config{})
	e := newTeacher(t, webrtc.MimeTypeVP8)
	p := publish(t, o, "math", "anna", e)
	if got := o.Rooms(); len(got) != 1 || got[0] != "math" {
		t.Errorf("rooms %q", got)
	}
	moved := errors.New("another node is the room's home now")
	o.CloseRoom("art", moved)
	o.CloseRoom("math", moved)
	ended(t, p, moved)
	if got := o.Rooms(); len(got) != 0 {
		t.Errorf("rooms %q", got)
	}
}

func TestConfigSpeaksTheOperatorsWords(t *testing.T) {
	for _, cfg := range []Config{{}, {Hub: relay.NewHub(relay.Config{}), ConnectTimeout: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
