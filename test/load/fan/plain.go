package fan

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// plain is what people write who begin with pion: one publisher, and students who share its tracks. It has Lyceum's codec of
// first choice for SRTP and one socket, as anybody would who runs it in earnest, and nothing else of Lyceum's.
type plain struct {
	// Set by newPlain, never changed.
	api  *webrtc.API
	cert webrtc.Certificate
	mux  ice.UDPMux
	http net.Listener
	// sound and picture are what every student gets.
	sound, picture *webrtc.TrackLocalStaticRTP

	mu sync.Mutex
	// Guarded by mu.
	teacher *webrtc.PeerConnection
	camera  webrtc.SSRC // of the teacher's picture, 0 for none
	peers   []*webrtc.PeerConnection
}

// socketBuffer is the kernel buffer asked for on the media socket, in bytes, the same as Lyceum's.
const socketBuffer = 4 << 20

// newPlain makes a plain server.
func newPlain(b Begin) (run func(context.Context) error, doors Doors, err error) {
	p := &plain{}
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return nil, doors, fmt.Errorf("register codecs: %w", err)
	}
	chain := &interceptor.Registry{}
	if b.Kind == serverPion {
		if err := webrtc.RegisterDefaultInterceptors(engine, chain); err != nil {
			return nil, doors, fmt.Errorf("register interceptors: %w", err)
		}
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(b.Address)})
	if err != nil {
		return nil, doors, fmt.Errorf("listen at %s: %w", b.Address, err)
	}
	_ = socket.SetReadBuffer(socketBuffer) // the kernel grants what it may
	_ = socket.SetWriteBuffer(socketBuffer)
	p.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket})
	var s webrtc.SettingEngine
	s.SetICEUDPMux(p.mux)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	p.api = webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(s))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, doors, fmt.Errorf("make a key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, doors, fmt.Errorf("make a certificate: %w", err)
	}
	p.cert = *cert
	p.picture, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "class")
	if err != nil {
		return nil, doors, fmt.Errorf("make a track: %w", err)
	}
	p.sound, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "class")
	if err != nil {
		return nil, doors, fmt.Errorf("make a track: %w", err)
	}
	if p.http, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, doors, fmt.Errorf("listen for HTTP: %w", err)
	}
	at := "http://" + p.http.Addr().String()
	return p.run, Doors{WHIP: at + "/whip", WHEP: at + "/whep"}, nil
}

// run serves until ctx is done.
func (p *plain) run(ctx context.Context) error {
	handler := http.NewServeMux()
	handler.HandleFunc("POST /whip", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, p.publish) })
	handler.HandleFunc("POST /whep", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, p.watch) })
	srv := &http.Server{Handler: handler}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(p.http)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pc := range p.peers {
		_ = pc.Close()
	}
	_ = p.mux.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// answer answers an offer with all candidates.
func (p *plain) answer(w http.ResponseWriter, r *http.Request, prepare func(*webrtc.PeerConnection) error) {
	offer, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := p.connect(string(offer), prepare)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", r.URL.Path+"/session")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // the client may be gone
}

func (p *plain) connect(offer string, prepare func(*webrtc.PeerConnection) error) (_ string, err error) {
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{p.cert}})
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = pc.Close()
		}
	}()
	if err := prepare(pc); err != nil {
		return "", err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	a, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(a); err != nil {
		return "", err
	}
	<-gathered // host candidates of one socket: at once
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = append(p.peers, pc)
	return pc.LocalDescription().SDP, nil
}

// publish takes the teacher's tracks and copies their packets to all students.
func (p *plain) publish(pc *webrtc.PeerConnection) error {
	p.mu.Lock()
	p.teacher = pc
	p.mu.Unlock()
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		local := p.sound
		if remote.Kind() == webrtc.RTPCodecTypeVideo {
			local = p.picture
			p.mu.Lock()
			p.camera = remote.SSRC()
			p.mu.Unlock()
		}
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			// The header extensions are those of the teacher's connection, and their numbers mean nothing in others.
			packet.Extension, packet.Extensions = false, nil
			_ = local.WriteRTP(packet) // the error of one student is not that of the others
		}
	})
	return nil
}

// watch gives a student both tracks and passes on what the student asks for.
func (p *plain) watch(pc *webrtc.PeerConnection) error {
	for _, track := range []webrtc.TrackLocal{p.sound, p.picture} {
		sender, err := pc.AddTrack(track)
		if err != nil {
			return err
		}
		go p.feedback(sender) // ends with the connection
	}
	return nil
}

// feedback asks the teacher for a keyframe as often as a student does.
func (p *plain) feedback(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if _, ok := packet.(*rtcp.PictureLossIndication); ok {
				p.mu.Lock()
				teacher, camera := p.teacher, p.camera
				p.mu.Unlock()
				if teacher != nil && camera != 0 {
					_ = teacher.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(camera)}})
				}
			}
		}
	}
}
