package whip

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
	"lyceum/origin"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

func loopback() webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return s
}

// node is WHIP over HTTP in front of an origin and its hub.
type node struct {
	t *testing.T
	*httptest.Server
	hub    *relay.Hub
	origin *origin.Origin
}

func newNode(t *testing.T, change func(*Config)) *node {
	t.Helper()
	hub := relay.NewHub(relay.Config{Linger: time.Minute})
	o, err := origin.New(origin.Config{Hub: hub, Engine: loopback})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Origin: o,
		Authorize: func(_ *http.Request, room, bearer string) (ticket.Grant, error) {
			if bearer == "" {
				return ticket.Grant{}, ticket.ErrMissing
			}
			return ticket.Grant{Subject: bearer, Room: room, Role: ticket.Teacher, Action: ticket.Publish}, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, Server: httptest.NewServer(h), hub: hub, origin: o}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = o.Run(ctx) })
	wg.Go(func() { _ = hub.Run(ctx) })
	t.Cleanup(func() { cancel(); h.Close(); n.Server.Close(); wg.Wait() })
	return n
}

func (n *node) do(method, url, body string, header http.Header) (*http.Response, string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		n.t.Fatal(err)
	}
	return resp, string(text)
}

func (n *node) post(room, subject, offer string) (*http.Response, string) {
	n.t.Helper()
	return n.do("POST", n.URL+"/whip/"+room, offer, http.Header{"Content-Type": {"application/sdp"}, "Authorization": {"Bearer " + subject}})
}

// peer is a teacher with one camera.
type peer struct {
	t      *testing.T
	pc     *webrtc.PeerConnection
	sender *webrtc.RTPSender
	tracks []*webrtc.TrackLocalStaticRTP
	rids   []string
	seq    []uint16
}

func newPeer(t *testing.T, codec webrtc.RTPCodecCapability, rids ...string) *peer {
	t.Helper()
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for i, profile := range []string{"64001f", "640032"} {
		codec := h264
		codec.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: codec, PayloadType: webrtc.PayloadType(60 + i)}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(loopback()), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	p := &peer{t: t, pc: pc, rids: rids, seq: make([]uint16, max(1, len(rids)))}
	for i := range p.seq {
		var opts []func(*webrtc.TrackLocalStaticRTP)
		if len(rids) > 0 {
			opts = append(opts, webrtc.WithRTPStreamID(rids[i]))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(codec, "camera", "class", opts...)
		if err != nil {
			t.Fatal(err)
		}
		p.tracks = append(p.tracks, track)
		if i > 0 {
			if err := p.sender.AddEncoding(track); err != nil {
				t.Fatal(err)
			}
			continue
		}
		tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		p.sender = tr.Sender()
	}
	return p
}

func (p *peer) offer(opts *webrtc.OfferOptions) string {
	p.t.Helper()
	offer, err := p.pc.CreateOffer(opts)
	if err != nil {
		p.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		p.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

func (p *peer) answer(text string) {
	p.t.Helper()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		p.t.Fatal(err)
	}
}

// frame sends one frame on each layer, packet by packet.
func (p *peer) frame(ts uint32, payloads ...[]byte) {
	p.t.Helper()
	for l, track := range p.tracks {
		for i, payload := range payloads {
			packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: p.seq[l], Timestamp: ts, Marker: i == len(payloads)-1}, Payload: payload}
			p.seq[l]++
			for _, x := range p.sender.GetParameters().HeaderExtensions {
				value := ""
				switch {
				case x.URI == sdp.SDESMidURI:
					value = "0"
				case x.URI == sdp.SDESRTPStreamIDURI && len(p.rids) > 0:
					value = p.rids[l]
				}
				if value != "" {
					if err := packet.SetExtension(uint8(x.ID), []byte(value)); err != nil {
						p.t.Fatal(err)
					}
				}
			}
			if err := track.WriteRTP(packet); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				p.t.Fatal(err)
			}
		}
	}
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

func attributes(text, name string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), name); ok {
			list = append(list, value)
		}
	}
	return list
}

var (
	vp8  = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	h264 = webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}
	vp8Key = []byte{0x10, 0x50, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01}
)

func TestAClassIsPublished(t *testing.T) {
	n := newNode(t, nil)
	p := newPeer(t, vp8, "q", "h", "f")
	resp, text := n.post("math", "anna", p.offer(nil))
	if resp.StatusCode != 201 {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	if got := attributes(text, "a=simulcast:"); len(got) != 1 || got[0] != "recv q;h;f" {
		t.Errorf("I04: simulcast %q", got)
	}
	if got := attributes(text, "a=rid:"); strings.Join(got, ",") != "q recv,h recv,f recv" {
		t.Errorf("I04: rids %q", got)
	}
	p.answer(text)
	camera, release := n.hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	var ts uint32
	until(t, "three layers", func() bool {
		ts += 3000
		p.frame(ts, vp8Key, []byte{0, 1, 2})
		return len(camera.State().Info.Layers) == 3
	})
	for l := range media.Layer(3) {
		until(t, "a keyframe", func() bool { ts += 3000; p.frame(ts, vp8Key, []byte{0, 1}); _, ok := camera.Keyframe(l); return ok })
	}

	other := newPeer(t, vp8)
	if resp, text := n.post("math", "bert", other.offer(nil)); resp.StatusCode != 409 || !strings.Contains(text, "another teacher") {
		t.Errorf("I06: a second teacher gets %s: %s", resp.Status, text)
	}
	again := newPeer(t, vp8)
	offer := again.offer(nil)
	back, text := n.post("math", "anna", offer)
	if back.StatusCode != 409 || back.Header.Get("Retry-After") == "" {
		t.Errorf("I06: the same teacher, whose session sends, gets %s: %s", back.Status, text)
	}
	until(t, "the session before has gone quiet and is replaced (I06)", func() bool {
		back, text = n.post("math", "anna", offer)
		return back.StatusCode == 201
	})
	until(t, "the end of the session before", func() bool {
		gone, _ := n.do("GET", resp.Header.Get("Location"), "", nil)
		return gone.StatusCode == 404
	})
	again.answer(text)
	until(t, "media of the new session", func() bool {
		ts += 3000
		again.frame(ts, vp8Key)
		return camera.State().Live && len(camera.State().Info.Layers) == 1
	})
	for i, want := range []int{200, 404} {
		if resp, text := n.do("DELETE", back.Header.Get("Location"), "", nil); resp.StatusCode != want {
			t.Errorf("DELETE %d: %s %s", i, resp.Status, text)
		}
	}
	until(t, "the end of the track", func() bool { return !camera.State().Live })
}

func TestH264WithSplitParameterSets(t *testing.T) {
	n := newNode(t, nil)
	p := newPeer(t, h264)
	offer := p.offer(nil)
	resp, text := n.post("math", "anna", offer)
	if resp.StatusCode != 201 {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	offered := attributes(offer, "a=fmtp:")
	for _, got := range attributes(text, "a=fmtp:") {
		plain := strings.TrimSuffix(got, ";"+startRate)
		if plain = strings.TrimSuffix(plain, " "+startRate); regexp.MustCompile(`^\d+$`).MatchString(plain) {
			continue // a codec without a format line of its own
		}
		found := false
		for _, o := range offered {
			found = found || o == plain
		}
		if !found {
			t.Errorf("I08, I10: the answer has fmtp %q, which was not offered", got)
		}
	}
	for _, profile := range []string{"42e01f", "42001f", "4d001f", "640032", "64001f"} {
		if !strings.Contains(offer, profile) || !strings.Contains(text, profile) {
			t.Errorf("I10: profile %s is not echoed", profile)
		}
	}
	p.answer(text)
	camera, release := n.hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	r := camera.NewReader()
	defer r.Close()
	r.Want(media.AllLayers)
	sps := []byte{0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0, 0, 3, 0, 0x80, 0, 0, 0x1e, 0x47, 0x8c, 0x18, 0xcb}
	var ts uint32
	until(t, "media", func() bool {
		ts += 3000
		p.frame(ts, sps, []byte{0x68, 0xee, 0x3c, 0x80}, []byte{0x65, 0x88, 0x84})
		ts += 3000
		p.frame(ts, []byte{0x41, 0x9a, 0x02})
		head, _ := camera.Head(0)
		key, ok := camera.Keyframe(0)
		return ok && head >= key+3
	})
	if l := camera.State().Info.Layers[0]; l.Width != 1280 || l.Height != 720 {
		t.Errorf("the picture is %dx%d", l.Width, l.Height)
	}
	var want uint64
	var got media.Packet
	for r.Next(&got) {
		if want != 0 && got.Number != want {
			t.Fatalf("number %d, want %d", got.Number, want)
		}
		want = got.Number + 1
	}
	key, _ := camera.Keyframe(0)
	if !camera.Packet(0, key, &got) || got.Payload[0]&0x1f != 7 {
		t.Errorf("the keyframe begins with %v, want its SPS", got.Payload[:1])
	}
}

func TestRestartOverHTTP(t *testing.T) {
	n := newNode(t, nil)
	p := newPeer(t, vp8)
	resp, text := n.post("math", "anna", p.offer(nil))
	p.answer(text)
	camera, release := n.hub.Acquire(media.TrackID{Room: "math", Name: media.Camera})
	defer release()
	var ts uint32
	flows := func() bool {
		before, _ := camera.Head(0)
		ts += 3000
		p.frame(ts, vp8Key)
		head, ok := camera.Head(0)
		return ok && head > before
	}
	until(t, "media", flows)
	f, err := wish.FragmentOf(p.offer(&webrtc.OfferOptions{ICERestart: true}))
	if err != nil {
		t.Fatal(err)
	}
	restart, body := n.do("PATCH", resp.Header.Get("Location"), f.String(), http.Header{"Content-Type": {"application/trickle-ice-sdpfrag"}, "If-Match": {"*"}})
	if restart.StatusCode != 200 || restart.Header.Get("ETag") == resp.Header.Get("ETag") {
		t.Fatalf("%s %v %s", restart.Status, restart.Header, body)
	}
	g, err := wish.ParseFragment(body)
	if err != nil {
		t.Fatal(err)
	}
	p.answer(g.Into(text))
	until(t, "media again", func() bool { return p.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected && flows() })
}

func TestTrickledCandidatesConnect(t *testing.T) {
	n := newNode(t, nil)
	p := newPeer(t, vp8)
	offer := p.offer(nil)
	bare := regexp.MustCompile(`(?m)^a=(candidate:.*|end-of-candidates)\r\n`).ReplaceAllString(offer, "")
	resp, text := n.post("math", "anna", bare)
	if resp.StatusCode != 201 {
		t.Fatalf("C43: %s %s", resp.Status, text)
	}
	f, err := wish.ParseFragment(offer)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/trickle-ice-sdpfrag"}, "If-Match": {resp.Header.Get("ETag")}}
	if resp, text := n.do("PATCH", resp.Header.Get("Location"), f.String(), header); resp.StatusCode != 204 {
		t.Fatalf("C14: %s %s", resp.Status, text)
	}
	p.answer(text)
	until(t, "the connection", func() bool { return p.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

func TestAnswers(t *testing.T) {
	n := newNode(t, nil)
	offer := newPeer(t, vp8, "q", "f").offer(nil)
	room := 0
	post := func(text string) (*http.Response, string) {
		room++
		return n.post("room"+string(rune('a'+room)), "anna", text)
	}
	for role, want := range map[string]string{"active": "passive", "passive": "active", "actpass": "active"} {
		resp, text := post(strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:"+role))
		if resp.StatusCode != 201 || strings.Join(attributes(text, "a=setup:"), ",") != want {
			t.Errorf("C40: %s answered %s %q", role, resp.Status, attributes(text, "a=setup:"))
		}
	}
	resp, text := post(strings.ReplaceAll(offer, "a=sendonly", "a=sendrecv"))
	if resp.StatusCode != 201 || len(attributes(text, "a=recvonly")) != 1 || strings.Contains(text, "a=sendrecv") {
		t.Errorf("I02: sendrecv answered %s\n%s", resp.Status, text)
	}
	if len(attributes(text, "a=rtcp-mux-only")) != 1 || len(attributes(text, "a=group:BUNDLE")) != 1 || len(attributes(text, "a=end-of-candidates")) != 1 {
		t.Errorf("C35, C36, C39: the answer is\n%s", text)
	}
	if c := attributes(text, "a=candidate:"); len(c) == 0 || !strings.Contains(c[0], " udp ") || !strings.Contains(c[0], "typ host") {
		t.Errorf("C35: candidates %q", c)
	}
	if len(text) > 8192 {
		t.Errorf("the answer has %d bytes; FFmpeg reads 8192", len(text))
	}
	for _, direction := range []string{"recvonly", "inactive"} {
		if resp, _ := post(strings.ReplaceAll(offer, "a=sendonly", "a="+direction)); resp.StatusCode != 422 {
			t.Errorf("I01: %s answered %s", direction, resp.Status)
		}
	}
	if resp, text := post(strings.ReplaceAll(offer, "VP8/90000", "VP7/90000")); resp.StatusCode != 201 {
		t.Errorf("one codec of several is unknown: %s %s", resp.Status, text)
	} else if strings.Contains(text, "VP8") || strings.Contains(text, "VP7") || strings.Contains(text, "H265") {
		t.Errorf("C41, I08: the answer names what was not agreed\n%s", text)
	}
}

func TestClaim(t *testing.T) {
	to := "https://sin.example/whip/math"
	n := newNode(t, func(c *Config) {
		c.Claim = func(_ context.Context, room string) error {
			if room == "elsewhere" {
				return &wish.Error{Status: http.StatusTemporaryRedirect, Detail: "the room has another home", Location: to}
			}
			return &wish.Error{Status: http.StatusServiceUnavailable, Detail: "no majority of voters answers", RetryAfter: time.Second}
		}
	})
	offer := newPeer(t, vp8).offer(nil)
	resp, text := n.post("math", "anna", offer)
	if resp.StatusCode != 503 || !strings.Contains(text, "no majority") || n.origin.Publishers() != 0 {
		t.Errorf("%s %s", resp.Status, text)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(t.Context(), "POST", n.URL+"/whip/elsewhere", strings.NewReader(offer))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/sdp"}, "Authorization": {"Bearer anna"}}
	resp, err = client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 307 || resp.Header.Get("Location") != to {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestStartBitrate(t *testing.T) {
	answer := "m=video 9 X 96 97 102\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\n"
	want := "m=video 9 X 96 97 102\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-start-bitrate=2500\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
		"a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;x-google-start-bitrate=2500\r\n"
	if got := startBitrate(answer); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := startBitrate(want); got != want {
		t.Errorf("a second time: got\n%s", got)
	}
}

func TestOriginIsRequired(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a handler without an origin was made")
	}
}
