package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// sfu is a real but small server for one room: WHIP in, the largest layer and the sound out by WHEP.
type sfu struct {
	*httptest.Server
	t      *testing.T
	onRTP  func(rid string, p *rtp.Packet) // set before use, called by many goroutines
	mux    *http.ServeMux
	cold   bool          // the distance of the home is told at the session alone
	away   chan struct{} // closed when the students are asked to go; nil tells no events. Set before use
	dropIn int           // every dropIn-th packet to a student is dropped once; 0 drops none
	socket *socket
	ports  ice.UDPMux

	mu        sync.Mutex
	whip      *webrtc.PeerConnection
	camera    map[string]webrtc.SSRC
	students  map[int]*webrtc.PeerConnection
	tracks    map[int]map[webrtc.RTPCodecType]*seatTrack
	next      int
	deleted   int
	lastClock map[uint32]*rtcp.SenderReport
}

type seatTrack struct {
	track   *webrtc.TrackLocalStaticRTP
	capture uint8
}

func newSFU(t *testing.T) *sfu {
	s := &sfu{
		t: t, mux: http.NewServeMux(), camera: map[string]webrtc.SSRC{}, students: map[int]*webrtc.PeerConnection{},
		tracks: map[int]map[webrtc.RTPCodecType]*seatTrack{}, lastClock: map[uint32]*rtcp.SenderReport{},
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s.socket = &socket{UDPConn: conn}
	s.ports = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s.socket})
	s.mux.HandleFunc("POST /whip/room", s.publish)
	s.mux.HandleFunc("POST /whep/room", s.subscribe)
	s.mux.HandleFunc("DELETE /session/{id}", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.deleted++
		s.mu.Unlock()
		w.WriteHeader(http.StatusOK)
	})
	s.mux.HandleFunc("POST /session/{id}/sse", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "stream")
		w.WriteHeader(http.StatusCreated)
	})
	s.mux.HandleFunc("GET /session/{id}/stream", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, ": hello\n\nevent: viewercount\ndata: {}\n\n") //nolint:errcheck // a test's server
		w.(http.Flusher).Flush()
		select {
		case <-s.away:
			io.WriteString(w, "event: reconnect\ndata: {}\n\n") //nolint:errcheck // a test's server
		case <-r.Context().Done():
		}
	})
	s.mux.HandleFunc("HEAD /session/{id}", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(hopsHeader, "2") })
	s.Server = httptest.NewServer(s.mux)
	t.Cleanup(s.end)
	return s
}

// socket is one UDP port for all WebRTC of a server. A mute one sends nothing any more.
type socket struct {
	*net.UDPConn
	mute atomic.Bool
}

func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	if s.mute.Load() {
		return len(p), nil
	}
	return s.UDPConn.WriteTo(p, to)
}

// die ends everything without a word, as a killed process does.
func (s *sfu) die() {
	s.socket.mute.Store(true)
	s.CloseClientConnections()
	s.Close()
	s.end()
}

// end closes what is left.
func (s *sfu) end() {
	s.Close()
	s.mu.Lock()
	var all []*webrtc.PeerConnection
	if s.whip != nil {
		all = append(all, s.whip)
	}
	for _, pc := range s.students {
		all = append(all, pc)
	}
	s.mu.Unlock()
	for _, pc := range all {
		pc.Close() //nolint:errcheck // a test's end
	}
	s.ports.Close() //nolint:errcheck // a test's end
}

func (s *sfu) api(chain *interceptor.Registry) *webrtc.API {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		s.t.Error(err)
	}
	for _, uri := range []string{captureURI, sdp.SDESMidURI, sdp.SDESRTPStreamIDURI} {
		if err := extend(m, uri, webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio); err != nil {
			s.t.Error(err)
		}
	}
	var e webrtc.SettingEngine
	e.SetICEUDPMux(s.ports)
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(e))
}

// onLoopback keeps a test's WebRTC off the other interfaces.
func onLoopback(e *webrtc.SettingEngine) {
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" || name == "lo0" })
}

// answer takes an offer and writes the 201.
func (s *sfu) answer(w http.ResponseWriter, r *http.Request, pc *webrtc.PeerConnection, prepare func() error) {
	offer, err := io.ReadAll(r.Body)
	if err == nil {
		err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)})
	}
	if err == nil && prepare != nil {
		err = prepare()
	}
	var answer webrtc.SessionDescription
	if err == nil {
		answer, err = pc.CreateAnswer(nil)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err == nil {
		err = pc.SetLocalDescription(answer)
	}
	if err != nil {
		s.t.Error(err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	<-gathered
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", fmt.Sprintf("/session/%p", pc))
	if s.away != nil {
		w.Header().Set("Link", fmt.Sprintf(`</session/%p/sse>; rel=%q; events="reconnect"`, pc, eventsRel))
	}
	if !s.cold {
		w.Header().Set(hopsHeader, "1")
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, pc.LocalDescription().SDP) //nolint:errcheck // a test's server
}

func (s *sfu) publish(w http.ResponseWriter, r *http.Request) {
	pc, err := s.api(&interceptor.Registry{}).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.whip = pc
	s.mu.Unlock()
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		video := track.Kind() == webrtc.RTPCodecTypeVideo
		if video {
			s.mu.Lock()
			s.camera[track.RID()] = track.SSRC()
			s.mu.Unlock()
		}
		go s.clocks(track, receiver)
		forward := !video || track.RID() == "" || track.RID() == "f"
		capture := extensionID(receiver.GetParameters(), captureURI)
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if s.onRTP != nil {
				s.onRTP(track.RID(), p)
			}
			if forward {
				s.forward(track.Kind(), p, p.GetExtension(capture))
			}
		}
	})
	s.answer(w, r, pc, nil)
}

// clocks remembers the sender reports of a track.
func (s *sfu) clocks(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	for {
		var packets []rtcp.Packet
		var err error
		if track.RID() != "" {
			packets, _, err = receiver.ReadSimulcastRTCP(track.RID())
		} else {
			packets, _, err = receiver.ReadRTCP()
		}
		if err != nil {
			return
		}
		s.mu.Lock()
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				s.lastClock[sr.SSRC] = sr
			}
		}
		s.mu.Unlock()
	}
}

// askKeyframe sends a PLI for a layer to the publisher.
func (s *sfu) askKeyframe(rid string) {
	s.mu.Lock()
	pc, ssrc := s.whip, s.camera[rid]
	s.mu.Unlock()
	if pc != nil {
		pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}}) //nolint:errcheck // as on a network
	}
}

// forward sends a packet to every student.
func (s *sfu) forward(kind webrtc.RTPCodecType, p *rtp.Packet, stamp []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tracks := range s.tracks {
		out := rtp.Packet{Header: rtp.Header{
			Version: 2, Marker: p.Marker, SequenceNumber: p.SequenceNumber, Timestamp: p.Timestamp,
		}, Payload: p.Payload}
		t := tracks[kind]
		if t.capture != 0 && stamp != nil {
			if err := out.SetExtension(t.capture, stamp); err != nil {
				s.t.Error(err)
			}
		}
		t.track.WriteRTP(&out) //nolint:errcheck // as on a network
	}
}

func (s *sfu) subscribe(w http.ResponseWriter, r *http.Request) {
	chain := &interceptor.Registry{}
	if s.dropIn > 0 {
		chain.Add(&dropper{every: s.dropIn})
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		s.t.Error(err)
		return
	}
	chain.Add(responder)
	pc, err := s.api(chain).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		s.t.Error(err)
		return
	}
	tracks := map[webrtc.RTPCodecType]*seatTrack{}
	s.answer(w, r, pc, func() error {
		for kind, c := range map[webrtc.RTPCodecType]webrtc.RTPCodecCapability{
			webrtc.RTPCodecTypeVideo: {MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
			webrtc.RTPCodecTypeAudio: opusCodec.RTPCodecCapability,
		} {
			track, err := webrtc.NewTrackLocalStaticRTP(c, kind.String(), "lecture")
			if err != nil {
				return err
			}
			sender, err := pc.AddTrack(track)
			if err != nil {
				return err
			}
			tracks[kind] = &seatTrack{track: track, capture: extensionID(sender.GetParameters().RTPParameters, captureURI)}
			go func() {
				for {
					packets, _, err := sender.ReadRTCP()
					if err != nil {
						return
					}
					for _, p := range packets {
						if _, ok := p.(*rtcp.PictureLossIndication); ok {
							s.askKeyframe("f")
							s.askKeyframe("")
						}
					}
				}
			}()
		}
		return nil
	})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			s.mu.Lock()
			s.tracks[s.next], s.students[s.next] = tracks, pc
			s.next++
			s.mu.Unlock()
		}
	})
	s.mu.Lock()
	s.students[-1-s.next] = pc // closed at the end even if it never connects
	s.mu.Unlock()
}

// dropper loses every n-th packet of each stream, after the repair has seen it.
type dropper struct {
	interceptor.NoOp
	every int
}

func (d *dropper) NewInterceptor(string) (interceptor.Interceptor, error) { return d, nil }

func (d *dropper) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	count := 0
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if h.SSRC == info.SSRC && info.MimeType == webrtc.MimeTypeVP8 {
			if count++; count%d.every == 0 {
				return len(payload), nil
			}
		}
		return next.Write(h, payload, a)
	})
}

// assign adds the question where to watch to a server.
func (s *sfu) assign(answer func() seat) {
	s.mux.HandleFunc("POST /v1/rooms/room/join", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" {
			problem(w, http.StatusUnauthorized, "This room needs a token.")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer()) //nolint:errcheck // a test's server
	})
}

// problem answers with problem details.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"title": "t", "detail": detail}) //nolint:errcheck // a test's server
}

// eventually polls until ok, with a deadline that a busy machine keeps.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
