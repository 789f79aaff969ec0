package whep

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"lyceum/edge"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
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

// node is WHEP over HTTP in front of an edge and its hub.
type node struct {
	t *testing.T
	*httptest.Server
	hub  *relay.Hub
	edge *edge.Edge
}

func newNode(t *testing.T, seats int) *node {
	t.Helper()
	hub := relay.NewHub(relay.Config{})
	e, err := edge.New(edge.Config{Hub: hub, Engine: loopback, MaxSubscribers: seats})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(e, wish.Config{Authorize: func(_ *http.Request, room, bearer string) (ticket.Grant, error) {
		if bearer == "" {
			return ticket.Grant{}, ticket.ErrMissing
		}
		return ticket.Grant{Subject: bearer, Name: "Anna", Room: room, Role: ticket.Student, Action: ticket.Watch}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, Server: httptest.NewServer(h), hub: hub, edge: e}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
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

func (n *node) post(offer string) (*http.Response, string) {
	n.t.Helper()
	return n.do("POST", n.URL+"/whep/algebra", offer, http.Header{"Content-Type": {"application/sdp"}, "Authorization": {"Bearer anna"}})
}

func newPlayer(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(loopback()), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return pc
}

func offerOf(t *testing.T, pc *webrtc.PeerConnection, opts *webrtc.OfferOptions) string {
	t.Helper()
	offer, err := pc.CreateOffer(opts)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return pc.LocalDescription().SDP
}

func answer(t *testing.T, pc *webrtc.PeerConnection, text string) {
	t.Helper()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		t.Fatal(err)
	}
}

// until repeats a look until it says that it is done.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(15 * time.Second)
	for !look() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

func connected(pc *webrtc.PeerConnection) func() bool {
	return func() bool { return pc.ConnectionState() == webrtc.PeerConnectionStateConnected }
}

func TestStudentWatchesOverHTTP(t *testing.T) {
	n := newNode(t, 0)
	pc := newPlayer(t)
	got := make(chan uint8, 1)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if p, _, err := track.ReadRTP(); err == nil {
			select {
			case got <- p.PayloadType:
			default:
			}
		}
	})
	offer := offerOf(t, pc, nil)
	bare := regexp.MustCompile(`(?m)^a=(candidate:.*|end-of-candidates)\r\n`).ReplaceAllString(offer, "")
	resp, text := n.post(bare)
	if resp.StatusCode != 201 {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	if strings.Count(text, "a=sendonly") != 2 || strings.Count(text, "a=msid:algebra ") != 2 {
		t.Errorf("E02, E03: the answer is\n%s", text)
	}
	answer(t, pc, text)
	f, err := wish.ParseFragment(offer)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/trickle-ice-sdpfrag"}, "If-Match": {resp.Header.Get("ETag")}}
	if resp, text := n.do("PATCH", resp.Header.Get("Location"), f.String(), header); resp.StatusCode != 204 {
		t.Fatalf("trickle: %s %s", resp.Status, text)
	}
	until(t, "the connection", connected(pc))

	track, release := n.hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	defer release()
	track.Start(media.TrackInfo{Kind: media.Video, Codec: media.Codec{MimeType: "video/VP8", ClockRate: 90000}, Source: 1, Layers: make([]media.LayerInfo, 1)})
	number := uint64(0)
	until(t, "media", func() bool {
		number++
		track.Write(&media.Packet{Source: 1, Number: number, Flags: media.Key | media.First | media.Last, Payload: []byte{0x10, 0, 1}})
		select {
		case payload := <-got:
			return payload == 96
		default:
			return false
		}
	})
	if st := n.edge.Status(); len(st) != 1 || st[0].Subscribers[0].Subject != "anna" || st[0].Subscribers[0].Name != "Anna" {
		t.Errorf("status %+v", st)
	}

	if f, err = wish.FragmentOf(offerOf(t, pc, &webrtc.OfferOptions{ICERestart: true})); err != nil {
		t.Fatal(err)
	}
	header.Set("If-Match", "*")
	restart, body := n.do("PATCH", resp.Header.Get("Location"), f.String(), header)
	if restart.StatusCode != 200 {
		t.Fatalf("restart: %s %s", restart.Status, body)
	}
	g, err := wish.ParseFragment(body)
	if err != nil {
		t.Fatal(err)
	}
	answer(t, pc, g.Into(text))
	until(t, "the connection again", connected(pc))

	for i, want := range []int{200, 404} {
		if resp, text := n.do("DELETE", resp.Header.Get("Location"), "", nil); resp.StatusCode != want {
			t.Errorf("DELETE %d: %s %s", i, resp.Status, text)
		}
	}
	until(t, "the end", func() bool { return n.edge.Sessions() == 0 })
}

func TestDistanceIsToldOnceItIsKnown(t *testing.T) {
	n := newNode(t, 0)
	resp, text := n.post(offerOf(t, newPlayer(t), nil))
	if resp.StatusCode != 201 || resp.Header.Get(wish.HeaderHops) != "" {
		t.Fatalf("before a teacher: %s %v %s", resp.Status, resp.Header, text)
	}
	track, release := n.hub.Acquire(media.TrackID{Room: "algebra", Name: media.Microphone})
	defer release()
	track.SetHops(2)
	track.Start(media.TrackInfo{Kind: media.Audio, Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2}, Source: 1, Layers: make([]media.LayerInfo, 1)})
	later, _ := n.do("HEAD", resp.Header.Get("Location"), "", nil)
	warm, _ := n.post(offerOf(t, newPlayer(t), nil))
	for _, resp := range []*http.Response{later, warm} {
		if resp.Header.Get(wish.HeaderHops) != "2" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), wish.HeaderHops) {
			t.Errorf("%s: %v", resp.Status, resp.Header)
		}
	}
}

func TestRefusals(t *testing.T) {
	n := newNode(t, 1)
	offer := offerOf(t, newPlayer(t), nil)
	for name, c := range map[string]struct {
		offer string
		want  int
	}{
		"E01: sendonly":  {strings.ReplaceAll(offer, "a=recvonly", "a=sendonly"), 422},
		"E01: inactive":  {strings.ReplaceAll(offer, "a=recvonly", "a=inactive"), 422},
		"E10: no codec":  {strings.NewReplacer("VP8/", "VP7/", "VP9/", "VP7/", "AV1/", "VP7/", "H264/", "H263/").Replace(offer), 422},
		"not an offer":   {"hello", 400},
		"no second seat": {offer, 201},
	} {
		if resp, text := n.post(c.offer); resp.StatusCode != c.want {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		} else if c.want == 422 && !strings.Contains(text, `"detail"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	resp, text := n.post(offer)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(text, "no seat left") {
		t.Errorf("full: %s %s", resp.Status, text)
	}
	if resp, text := n.do("POST", n.URL+"/whep/algebra", offer, http.Header{"Content-Type": {"application/sdp"}}); resp.StatusCode != 401 {
		t.Errorf("no token: %s %s", resp.Status, text)
	}
}

func TestEdgeIsRequired(t *testing.T) {
	if _, err := New(nil, wish.Config{}); err == nil {
		t.Error("a handler without an edge was made")
	}
}
