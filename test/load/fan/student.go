package fan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

// student is one WHEP client: a whole PeerConnection for SDP, ICE, DTLS and RTCP, and an ear for media.
type student struct {
	// Set by newStudent, never changed.
	ear   ear
	line  line
	mux   *ice.UDPMuxDefault
	pc    *webrtc.PeerConnection
	offer string
	ssrc  uint32 // of its reports
	up    chan struct{}
	seen  chan struct{} // closed when a keyframe is whole
	check bool          // decrypts everything

	decrypted, broken atomic.Uint64 // packets; broken ones were decrypted, and are not what was sent
	missing           atomic.Int64  // packets that the publisher sent between those that were decrypted
	refused           atomic.Uint64 // POSTs that were to be tried again
	state             atomic.Pointer[string]
}

// newStudent makes a student and an offer with all candidates.
func newStudent(n network, shared transport.Net, cert webrtc.Certificate, check bool) (_ *student, err error) {
	s := &student{up: make(chan struct{}), seen: make(chan struct{}), check: check, ssrc: rand.Uint32()}
	if s.line, err = n.line(&s.ear); err != nil {
		return nil, err
	}
	s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s.line})
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	engine, err := codecs()
	if err != nil {
		return nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetNet(shared)
	settings.SetICEUDPMux(s.mux)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
		webrtc.WithSettingEngine(settings))
	if s.pc, err = api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{cert}}); err != nil {
		return nil, fmt.Errorf("make a student: %w", err)
	}
	var connected sync.Once
	s.pc.OnConnectionStateChange(func(st webrtc.PeerConnectionState) {
		name := st.String()
		s.state.Store(&name)
		if st == webrtc.PeerConnectionStateConnected {
			connected.Do(func() { close(s.up) })
		}
	})
	s.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.watch(t) })
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := s.pc.AddTransceiverFromKind(kind, receive); err != nil {
			return nil, fmt.Errorf("make a student: %w", err)
		}
	}
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("make an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return nil, fmt.Errorf("make an offer: %w", err)
	}
	<-gathered // one candidate: at once
	s.offer = s.pc.LocalDescription().SDP
	return s, nil
}

// codecs are what a student offers: a browser's first choices and their feedback.
func codecs() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{
		{Type: "goog-remb"}, {Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
	}
	video := func(mime, fmtp string, pt webrtc.PayloadType) error {
		c := webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp, RTCPFeedback: feedback,
		}}
		repair := webrtc.RTPCodecParameters{PayloadType: pt + 1, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", pt),
		}}
		return errors.Join(m.RegisterCodec(c, webrtc.RTPCodecTypeVideo), m.RegisterCodec(repair, webrtc.RTPCodecTypeVideo))
	}
	sound := webrtc.RTPCodecParameters{PayloadType: soundType, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}
	err := errors.Join(
		video(webrtc.MimeTypeVP8, "", pictureType),
		video(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f", 102),
		video(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", 106),
		m.RegisterCodec(sound, webrtc.RTPCodecTypeAudio),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}, webrtc.RTPCodecTypeVideo),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}, webrtc.RTPCodecTypeAudio),
	)
	if err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	return m, nil
}

// join has the offer answered, and waits for the connection and, if picture is set, for the first whole keyframe.
func (s *student) join(ctx context.Context, client *http.Client, url, token string, picture bool) error {
	if picture || s.check {
		s.ear.pass.Store(true)
	}
	answer, err := s.ask(ctx, client, url, token)
	if err != nil {
		return err
	}
	remote := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}
	if err := s.pc.SetRemoteDescription(remote); err != nil {
		return fmt.Errorf("use the answer: %w", err)
	}
	if err := s.wait(ctx, s.up, "no connection"); err != nil || !picture {
		return err
	}
	return s.wait(ctx, s.seen, "no whole keyframe")
}

// ask posts the offer until it is answered. A server that is busy says after how many seconds to come back (RFC 9725, section
// 4.5).
func (s *student) ask(ctx context.Context, client *http.Client, url, token string) (answer string, err error) {
	for {
		rq, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(s.offer))
		if err != nil {
			return "", err
		}
		rq.Header.Set("Content-Type", "application/sdp")
		if token != "" {
			rq.Header.Set("Authorization", "Bearer "+token)
		}
		rsp, err := client.Do(rq)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(rsp.Body, 1<<20))
		_ = rsp.Body.Close() // it was read
		if err != nil {
			return "", err
		}
		if rsp.StatusCode == http.StatusCreated {
			return string(text), nil
		}
		refusal := fmt.Errorf("the server answered %s: %s", rsp.Status, bytes.TrimSpace(text))
		seconds, err := strconv.Atoi(rsp.Header.Get("Retry-After"))
		if rsp.StatusCode != http.StatusServiceUnavailable || err != nil {
			return "", refusal
		}
		s.refused.Add(1)
		if pause(ctx, time.Duration(seconds)*time.Second) != nil {
			return "", refusal
		}
	}
}

func (s *student) wait(ctx context.Context, event <-chan struct{}, none string) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
		state := "new"
		if p := s.state.Load(); p != nil {
			state = *p
		}
		return fmt.Errorf("%s; the connection is %s", none, state)
	}
}

// watch reads a track: until the first whole keyframe, or all of it if the student is one that checks. As a browser does, it
// asks for a keyframe when it gets something else before it has one.
func (s *student) watch(t *webrtc.TrackRemote) {
	var p picture
	var packet rtp.Packet
	var sent track
	var pleaded time.Time
	buf := make([]byte, 1500)
	video, found := t.Kind() == webrtc.RTPCodecTypeVideo, false
	for {
		n, _, err := t.Read(buf)
		if err != nil || packet.Unmarshal(buf[:n]) != nil {
			return
		}
		m, ok := readMark(packet.Payload, video)
		s.decrypted.Add(1)
		if !ok {
			s.broken.Add(1)
			continue
		}
		if s.check {
			s.missing.Add(sent.add(m.number))
		}
		if !video || found {
			continue
		}
		if found = p.add(m); found {
			close(s.seen)
			if !s.check {
				s.ear.pass.Store(false)
				return
			}
		}
		if !found && !m.key && time.Since(pleaded) > pleaTime {
			pleaded = time.Now()
			_ = s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: s.ssrc, MediaSSRC: uint32(t.SSRC())}}) // asked again
		}
	}
}

// pleaTime is the least time between two requests of a student for a keyframe.
const pleaTime = 500 * time.Millisecond

// report tells the server what came, as browsers do.
func (s *student) report() {
	if r := s.ear.report(s.ssrc); r != nil {
		_ = s.pc.WriteRTCP([]rtcp.Packet{r}) // the connection may be gone
	}
}

func (s *student) close() {
	if s.pc != nil {
		_ = s.pc.Close()
	}
	_ = s.mux.Close()
	_ = s.line.Close()
}

// joinTime bounds a join, the wait for a keyframe included.
const joinTime = 20 * time.Second
