package sim

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// peer returns a peer connection on a host, behind one port for all if mux, with the default codecs.
func peer(t *testing.T, h *Host, mux bool) *webrtc.PeerConnection {
	t.Helper()
	s := h.SettingEngine()
	if mux {
		m := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: h.PacketConn(7702)})
		t.Cleanup(func() { _ = m.Close() })
		s.SetICEUDPMux(m)
	}
	var media webrtc.MediaEngine
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(&media),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	return pc
}

// settle exchanges complete descriptions.
func settle(t *testing.T, offerer, answerer *webrtc.PeerConnection) {
	t.Helper()
	offer, err := offerer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(offerer)
	if err := offerer.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := answerer.SetRemoteDescription(*offerer.LocalDescription()); err != nil {
		t.Fatal(err)
	}
	answer, err := answerer.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered = webrtc.GatheringCompletePromise(answerer)
	if err := answerer.SetLocalDescription(answer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := offerer.SetRemoteDescription(*answerer.LocalDescription()); err != nil {
		t.Fatal(err)
	}
}

func TestPeerConnectionsMeetAndPassRTP(t *testing.T) {
	began := time.Now()
	for name, addrs := range map[string][2]string{
		"IPv4":     {"192.0.2.1", "203.0.113.7"},
		"IPv6":     {"2001:db8::1", "2001:db8::7"},
		"loopback": {"127.0.0.1", "127.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := New(t, Path{Delay: 20 * time.Millisecond})
				edge, student := n.Host("edge", addrs[0]), n.Host("student", addrs[1])
				out, in := peer(t, edge, true), peer(t, student, false)
				track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "microphone", "class")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := out.AddTrack(track); err != nil {
					t.Fatal(err)
				}
				arrived := make(chan *rtp.Packet, 100)
				in.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
					for {
						p, _, err := r.ReadRTP()
						if err != nil {
							close(arrived)
							return
						}
						arrived <- p
					}
				})
				connected := make(chan struct{})
				out.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
					if s == webrtc.PeerConnectionStateConnected {
						close(connected)
					}
				})
				start := time.Now()
				settle(t, out, in)
				<-connected
				t.Logf("connected after %v", time.Since(start))
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("connecting over 40 ms took %v", took)
				}
				for i := range 50 {
					p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i) * 960}, Payload: []byte{1, 2, 3}}
					if err := track.WriteRTP(&p); err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
				}
				for i := range 50 {
					if p := <-arrived; p.SequenceNumber != uint16(i) {
						t.Fatalf("packet %d has the number %d", i, p.SequenceNumber)
					}
				}
				before := n.Traffic(edge, student)
				time.Sleep(time.Minute)
				if idle := n.Traffic(edge, student).Sub(before); idle.Packets == 0 || idle.Packets > 200 {
					t.Errorf("an idle minute costs %d packets", idle.Packets)
				}
				failed := make(chan struct{})
				in.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
					if s == webrtc.ICEConnectionStateFailed {
						close(failed)
					}
				})
				n.Cut(edge, student)
				start = time.Now()
				<-failed
				if took := time.Since(start); took < 10*time.Second || took > time.Minute {
					t.Errorf("the cut was noticed after %v", took)
				}
			})
		})
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("minutes of simulated time took %v", took)
	}
}
