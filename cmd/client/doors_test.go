package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"lyceum/edge"
	"lyceum/edge/whep"
	"lyceum/mesh/relay"
	"lyceum/origin"
	"lyceum/origin/whip"
	"lyceum/routing/ticket"
	"lyceum/routing/wish"
)

// doors are the two doors of one node for standard clients, with all that is between them.
type doors struct {
	t *testing.T
	*httptest.Server
	hub *relay.Hub
}

func newDoors(t *testing.T) *doors {
	t.Helper()
	engine := func() webrtc.SettingEngine {
		var s webrtc.SettingEngine
		s.SetIncludeLoopbackCandidate(true)
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		onLoopback(&s)
		return s
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	authorize := func(_ *http.Request, room, bearer string) (ticket.Grant, error) {
		return ticket.Grant{Subject: bearer, Room: room}, nil
	}
	d := &doors{t: t, hub: relay.NewHub(relay.Config{})}
	o, err := origin.New(origin.Config{Hub: d.hub, Engine: engine})
	must(err)
	e, err := edge.New(edge.Config{Hub: d.hub, Engine: engine})
	must(err)
	in, err := whip.New(whip.Config{Origin: o, Authorize: authorize})
	must(err)
	out, err := whep.New(e, wish.Config{Authorize: authorize})
	must(err)
	mux := http.NewServeMux()
	mux.Handle("/whip/", in)
	mux.Handle("/whep/", out)
	d.Server = httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{o.Run, e.Run, d.hub.Run} {
		wg.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() {
		in.Close()
		out.Close()
		d.Server.Close()
		cancel()
		wg.Wait()
	})
	return d
}

// post sends an offer and returns the status and the body.
func (d *doors) post(path, offer string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.URL+path, strings.NewReader(offer))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/sdp")
	r.Header.Set("Authorization", "Bearer anna")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// standard makes a peer connection with the given codecs and nothing that is not asked for: no interceptor answers, repairs
// or reports.
func standard(t *testing.T, video ...webrtc.RTPCodecParameters) *webrtc.PeerConnection {
	t.Helper()
	m := &webrtc.MediaEngine{}
	err := m.RegisterCodec(opusCodec, webrtc.RTPCodecTypeAudio)
	for _, c := range video {
		if err == nil {
			err = m.RegisterCodec(c, webrtc.RTPCodecTypeVideo)
		}
	}
	if err == nil {
		err = extend(m, sdp.SDESMidURI, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio)
	}
	if err == nil {
		err = extend(m, sdp.SDESRTPStreamIDURI, webrtc.RTPCodecTypeVideo)
	}
	if err != nil {
		t.Fatal(err)
	}
	pc, err := newAPI(m, &interceptor.Registry{}, onLoopback).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc
}

// through takes a peer connection through a door.
func (d *doors) through(path string, pc *webrtc.PeerConnection) {
	d.t.Helper()
	_, err := newPeer(pc).exchange(d.t.Context(), func(_ context.Context, offer string) (answered, error) {
		status, text := d.post(path, offer)
		if status != http.StatusCreated {
			d.t.Fatalf("POST %s: %d %s", path, status, text)
		}
		return answered{sdp: text, host: d.URL}, nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// encoder publishes H.264 as OBS does: parameter sets and slices each in a packet of their own, a keyframe every second
// whoever asks, and the largest layer under the name "0".
type encoder struct {
	t      *testing.T
	pc     *webrtc.PeerConnection
	sender *webrtc.RTPSender
	layers []*encoderLayer
}

type encoderLayer struct {
	track *webrtc.TrackLocalStaticRTP
	sps   []byte
	seq   uint16
	frame int
}

var h264High = video(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
	[]webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}, 96)

// newEncoder publishes one layer for each parameter set; one alone has no name.
func newEncoder(t *testing.T, sets ...[]byte) *encoder {
	t.Helper()
	e := &encoder{t: t, pc: standard(t, h264High)}
	for i, sps := range sets {
		var opts []func(*webrtc.TrackLocalStaticRTP)
		if len(sets) > 1 {
			opts = append(opts, webrtc.WithRTPStreamID(string(rune('0'+i))))
		}
		track, err := webrtc.NewTrackLocalStaticRTP(h264High.RTPCodecCapability, "video", "obs", opts...)
		if err != nil {
			t.Fatal(err)
		}
		e.layers = append(e.layers, &encoderLayer{track: track, sps: sps, seq: uint16(i) * 1000})
		if i > 0 {
			err = e.sender.AddEncoding(track)
		} else {
			var tr *webrtc.RTPTransceiver
			tr, err = e.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			if err == nil {
				e.sender = tr.Sender()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// play sends frames of 25 per second until the test or stop ends it.
func (e *encoder) play() (stop func()) {
	ctx, cancel := context.WithCancel(e.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, l := range e.layers {
				e.present(l)
			}
		}
	})
	stop = func() { cancel(); wg.Wait() }
	e.t.Cleanup(stop)
	return stop
}

// present sends one frame of a layer. The third byte of a slice that begins a frame counts the frames.
func (e *encoder) present(l *encoderLayer) {
	mark := byte(l.frame)
	payloads := [][]byte{{0x41, 0x9a, mark}}
	if l.frame%25 == 0 {
		payloads = [][]byte{l.sps, {0x68, 0xee, 0x3c, 0x80}, {0x06, 0x05, 0x01, 0xff, 0x80}, {0x7c, 0x85, 0x88, mark}, {0x7c, 0x45, 1, 2}}
	}
	for i, payload := range payloads {
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: l.seq, Timestamp: uint32(l.frame * 3600), Marker: i == len(payloads)-1},
			Payload: payload,
		}
		l.seq++
		for _, x := range e.sender.GetParameters().HeaderExtensions {
			switch {
			case x.URI == sdp.SDESMidURI:
				_ = p.SetExtension(uint8(x.ID), []byte("0"))
			case x.URI == sdp.SDESRTPStreamIDURI && l.track.RID() != "":
				_ = p.SetExtension(uint8(x.ID), []byte(l.track.RID()))
			}
		}
		_ = l.track.WriteRTP(p) // before the connection and after its end nothing is sent
	}
	l.frame++
}
