package fan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	framesPerSecond = 30
	soundsPerSecond = 50
	soundSize       = 100 // bytes: Opus at 40 kbps
	// fullPacket is what a packet of video holds at most, in bytes, as encoders' packetizers have it.
	fullPacket = 1200
	// keyframeTime is the time between two keyframes that nobody asked for.
	keyframeTime = 4 * time.Second
)

// pace is what the publisher sends.
type pace struct {
	frames, sounds float64 // per second
	packets        int     // per frame
	size           int     // of a video packet's payload, in bytes
}

// paceOf is real time at a bitrate of video in bits per second: frames of equal size, each split evenly into as few packets
// as hold it.
func paceOf(bitrate int) pace {
	frame := bitrate / 8 / framesPerSecond
	packets := min(255, max(1, (frame+fullPacket-1)/fullPacket))
	return pace{frames: framesPerSecond, sounds: soundsPerSecond, packets: packets, size: max(frame/packets, leastPayload)}
}

// filling is a pace at which both streams pass at least n packets in some time, as far as both together may be at most so
// many a second.
func (p pace) filling(n int, d time.Duration, most float64) pace {
	rate := min(float64(n)/d.Seconds(), most/2)
	p.frames = max(p.frames, rate/float64(p.packets))
	p.sounds = max(p.sounds, rate)
	return p
}

// publisher is a WHIP client that sends made-up VP8 and Opus, and a keyframe when it is asked for one.
type publisher struct {
	// Set by publish, never changed.
	pc             *webrtc.PeerConnection
	mux            *ice.UDPMuxDefault
	sound, picture *webrtc.TrackLocalStaticRTP
	running        sync.WaitGroup
	stop           context.CancelFunc

	mu sync.Mutex
	// Guarded by mu.
	pace  pace
	asked []time.Time // when keyframes were asked for
	key   bool        // the next frame is to be one
	sent  uint64      // packets
}

// publish connects and sends from then on. Its socket is at the given address.
func publish(ctx context.Context, address string, d Doors, pc pace) (p *publisher, err error) {
	p = &publisher{pace: pc}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	p.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket})
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var s webrtc.SettingEngine
	s.SetICEUDPMux(p.mux)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine, err := codecs()
	if err != nil {
		return nil, err
	}
	repair, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	chain := &interceptor.Registry{}
	chain.Add(repair)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(s))
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if p.sound, err = p.track(webrtc.MimeTypeOpus, "audio"); err != nil {
		return nil, err
	}
	if p.picture, err = p.track(webrtc.MimeTypeVP8, "video"); err != nil {
		return nil, err
	}
	up := make(chan struct{})
	var connected sync.Once
	p.pc.OnConnectionStateChange(func(st webrtc.PeerConnectionState) {
		if st == webrtc.PeerConnectionStateConnected {
			connected.Do(func() { close(up) })
		}
	})
	if err := p.exchange(ctx, d); err != nil {
		return nil, fmt.Errorf("publish at %s: %w", d.WHIP, err)
	}
	select {
	case <-up:
	case <-ctx.Done():
		return nil, fmt.Errorf("publish at %s: no connection: %w", d.WHIP, ctx.Err())
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.running.Go(func() { p.send(sending) })
	return p, nil
}

// track adds a track, and listens to what is said of it.
func (p *publisher) track(mime, id string) (*webrtc.TrackLocalStaticRTP, error) {
	t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, "teacher")
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	tr, err := p.pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	p.running.Go(func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, packet := range packets {
				switch packet.(type) {
				case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
					p.mu.Lock()
					p.asked = append(p.asked, time.Now())
					p.key = true
					p.mu.Unlock()
				}
			}
		}
	})
	return t, nil
}

func (p *publisher) exchange(ctx context.Context, d Doors) error {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered // one candidate: at once
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, d.WHIP, strings.NewReader(p.pc.LocalDescription().SDP))
	if err != nil {
		return err
	}
	rq.Header.Set("Content-Type", "application/sdp")
	if d.TeacherToken != "" {
		rq.Header.Set("Authorization", "Bearer "+d.TeacherToken)
	}
	rsp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(rsp.Body, 1<<20))
	if err != nil {
		return err
	}
	if rsp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", rsp.Status, answer)
	}
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// send sends until ctx is done. Timestamps follow the clock, whatever the pace.
func (p *publisher) send(ctx context.Context) {
	began := time.Now()
	frameAt, soundAt, keyAt := began, began, began
	var frame, sound uint32
	var pictures uint64
	pictureHead := rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32())}
	soundHead := rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32())}
	buf := make([]byte, 0, 2*fullPacket)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		p.mu.Lock()
		pc, key := p.pace, p.key
		p.mu.Unlock()
		now := time.Now()
		if !now.Before(frameAt) {
			key = key || !now.Before(keyAt)
			if key {
				keyAt = now.Add(keyframeTime)
			}
			pictureHead.Timestamp = uint32(now.Sub(began) * 90 / time.Millisecond)
			for i := range pc.packets {
				m := mark{number: pictures, frame: frame, index: uint8(i), of: uint8(pc.packets), key: key}
				buf = videoPayload(buf, pc.size, m)
				pictureHead.Marker = i == pc.packets-1
				_ = p.picture.WriteRTP(&rtp.Packet{Header: pictureHead, Payload: buf}) // the next one shows whether it still works
				pictureHead.SequenceNumber++
				pictures++
			}
			frame++
			p.wrote(pc.packets, key)
			frameAt = next(frameAt, now, pc.frames)
		}
		if !now.Before(soundAt) {
			soundHead.Timestamp = uint32(now.Sub(began) * 48 / time.Millisecond)
			buf = soundPayload(buf, soundSize, mark{number: uint64(sound), frame: sound, of: 1})
			_ = p.sound.WriteRTP(&rtp.Packet{Header: soundHead, Payload: buf})
			soundHead.SequenceNumber++
			sound++
			p.wrote(1, false)
			soundAt = next(soundAt, now, pc.sounds)
		}
		timer.Reset(time.Until(minTime(frameAt, soundAt)))
	}
}

// next is when the next one is due. One that is late by more than ten is not made up for.
func next(last, now time.Time, perSecond float64) time.Time {
	period := time.Duration(float64(time.Second) / perSecond)
	if now.Sub(last) > 10*period {
		last = now
	}
	return last.Add(period)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (p *publisher) wrote(packets int, key bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += uint64(packets)
	if key {
		p.key = false
	}
}

// set changes the pace.
func (p *publisher) set(pc pace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace = pc
}

// packets is how many were sent.
func (p *publisher) packets() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// requests is how many keyframes were asked for since some time, and the most of them in any one second.
func (p *publisher) requests(since time.Time) (all, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.asked, since, time.Time.Compare)
	times := p.asked[i:]
	from := 0
	for to := range times {
		for times[to].Sub(times[from]) >= time.Second {
			from++
		}
		most = max(most, to-from+1)
	}
	return len(times), most
}

// close ends the publication.
func (p *publisher) close() {
	if p.stop != nil {
		p.stop()
	}
	var err error
	if p.pc != nil {
		err = p.pc.Close()
	}
	_ = errors.Join(err, p.mux.Close()) // it is over either way
	p.running.Wait()
}
