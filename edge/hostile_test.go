package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// siege is a class in which some mean harm to the others.
type siege struct {
	*node
	camera     *relay.Track
	victims    []*student
	goroutines int
	heap       uint64
	began      time.Time
}

const (
	// siegeTime is how long each attack lasts.
	siegeTime = 1500 * time.Millisecond
	// longestPause is the longest that a victim's picture may stand still. Frames are 40 ms apart; the rest is for machines that
	// are busy with other tests.
	longestPause = time.Second
)

func newSiege(t *testing.T) *siege {
	t.Helper()
	si := &siege{node: newNode(t, func(c *Config) {
		engine := c.Engine
		c.Engine = func() webrtc.SettingEngine {
			s := engine()
			s.SetICETimeouts(time.Second, time.Second, 200*time.Millisecond) // who vanishes is missed after 2 s
			return s
		}
	})}
	camera, release := si.hub.Acquire(media.TrackID{Room: "algebra", Name: media.Camera})
	t.Cleanup(release)
	si.camera = camera
	si.teach(1)
	for range 3 {
		si.victims = append(si.victims, si.join())
	}
	for _, v := range si.victims {
		v.whole(30)
	}
	si.goroutines, si.heap = runtime.NumGoroutine(), heap()
	si.began = time.Now()
	for _, v := range si.victims {
		v.mu.Lock()
		v.pause = 0
		v.mu.Unlock()
	}
	return si
}

// heap is what lives on it now.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// leaves ends a hostile student and waits for its end.
func (s *student) leaves() {
	s.subscriber.Close(ErrLeft)
	<-s.subscriber.Done()
	_ = s.pc.Close()
}

// verdict checks that nobody else has come to harm, and that nothing is left of the attackers, who have left.
func (si *siege) verdict() {
	si.t.Helper()
	lasted := time.Since(si.began)
	head, _ := si.camera.Head(0)
	frames := int(head-1<<32) / 3 // that were written whole
	for i, v := range si.victims {
		until(si.t, "the last frame", func() bool {
			seen := v.video()
			return frameOf(&seen[len(seen)-1]) >= frames
		})
		v.mu.Lock()
		pause, repairs := v.pause, v.repairs
		v.mu.Unlock()
		got := v.whole(0)
		checkFlow(si.t, got)
		if first, last := frameOf(&got[0]), frameOf(&got[len(got)-1]); len(got) != 3*(last-first+1) {
			si.t.Errorf("victim %d got %d packets of frames %d to %d", i, len(got), first, last)
		}
		if layer := layerOf(&got[len(got)-1]); layer != 0 || repairs != 0 {
			si.t.Errorf("victim %d ends at layer %d and got %d repairs", i, layer, repairs)
		}
		if pause > longestPause {
			si.t.Errorf("the picture of victim %d stood still for %s", i, pause)
		}
		sound := v.audio()
		for j := 1; j < len(sound); j++ {
			if sound[j].SequenceNumber != sound[j-1].SequenceNumber+1 {
				si.t.Fatalf("victim %d: sound %d follows %d", i, sound[j].SequenceNumber, sound[j-1].SequenceNumber)
			}
		}
		si.t.Logf("victim %d: %d packets of the picture, longest pause %s", i, len(got), pause.Round(time.Millisecond))
	}
	for _, track := range si.hub.Status() {
		if track.Requests > 0 {
			si.t.Logf("%s: %d keyframes were asked for", track.Name, track.Requests)
		}
		if most := uint64(1 + 3*lasted/time.Second); track.Requests > most {
			si.t.Errorf("the teacher was asked for %d keyframes of three layers in %s", track.Requests, lasted)
		}
	}
	if n := si.edge.Sessions(); n != len(si.victims) {
		si.t.Errorf("%d sessions are left", n)
	}
	until(si.t, "the end of the attackers' goroutines", func() bool { return runtime.NumGoroutine() <= si.goroutines })
	// The victims keep what they have seen, each packet some hundred bytes.
	if h := heap(); h > si.heap+16<<20 {
		si.t.Errorf("%d MB of memory are in use, %d before", h>>20, si.heap>>20)
	}
}

// often calls f so many times a second until ctx is done, in bursts of a few milliseconds, and returns how many times it was.
func often(ctx context.Context, rate int, f func(i int)) int {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began, n := time.Now(), 0
	for {
		for due := int(time.Since(began).Seconds() * float64(rate)); n < due && ctx.Err() == nil; n++ {
			f(n)
		}
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
		}
	}
}

// lasting is how long an attack lasts.
func (si *siege) lasting() context.Context {
	ctx, cancel := context.WithTimeout(si.t.Context(), siegeTime)
	si.t.Cleanup(cancel)
	return ctx
}

// ufrag reads the first one of a description.
func ufrag(d *webrtc.SessionDescription) string {
	_, rest, _ := strings.Cut(d.SDP, "a=ice-ufrag:")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func TestNoiseAtTheSocketHarmsNobody(t *testing.T) {
	si := newSiege(t)
	to := si.edge.cfg.Fan.Sockets()[0].LocalAddr()
	var ports []net.PacketConn
	for range 40 {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, c)
	}
	known := ufrag(si.victims[0].pc.RemoteDescription())
	r := rand.New(rand.NewPCG(1, 2))
	n := often(si.lasting(), 5000, func(i int) { _, _ = ports[i%len(ports)].WriteTo(noise(r, i, known), to) })
	for _, c := range ports {
		_ = c.Close()
	}
	t.Logf("%d packets of noise", n)
	si.verdict()
}

// noise is what does not belong at a media socket, or looks as if it did.
func noise(r *rand.Rand, i int, ufrag string) []byte {
	b := make([]byte, 20+r.IntN(1400))
	for j := range b {
		b[j] = byte(r.Uint32())
	}
	switch i % 6 {
	case 1, 2: // a binding request that names a session, with nothing behind it or with attributes of any length
		name := []byte(ufrag + ":abcd")
		if i%6 == 2 {
			name = []byte(fmt.Sprintf("%x:abcd", r.Uint64()))
		}
		b = append(b[:20], 0, 6, 0, byte(len(name)))
		b = append(b, name...)
		b = append(b, make([]byte, (4-len(name)%4)%4)...)
		b = append(b, 0, 8, 0, byte(r.Uint32()), byte(r.Uint32()))
		copy(b, []byte{0, 1, 0, byte(len(b) - 20), 0x21, 0x12, 0xa4, 0x42})
	case 3: // DTLS
		b[0] = 20 + byte(r.IntN(44))
	case 4: // RTP
		b[0] = 0x80
	case 5: // RTCP
		b = append([]byte{0x80 | byte(r.IntN(32)), 200 + byte(r.IntN(8)), byte(r.Uint32()), byte(r.Uint32())}, b...)
	}
	return b
}

// greed is what a student can ask for to get as much as possible, and what it can say to be given it.
func greed(s *student) [][]rtcp.Packet {
	seen := s.video()
	p := seen[len(seen)-1]
	var all, recent []rtcp.NackPair
	for i := range uint16(250) {
		all = append(all, rtcp.NackPair{PacketID: p.SequenceNumber - 17*(i+1), LostPackets: 0xffff})
	}
	recent = all[:15]
	var firs []rtcp.FIREntry
	for i := range 100 {
		firs = append(firs, rtcp.FIREntry{SSRC: p.SSRC, SequenceNumber: uint8(i)})
	}
	return [][]rtcp.Packet{
		{&rtcp.TransportLayerNack{MediaSSRC: p.SSRC, Nacks: all}},
		{&rtcp.TransportLayerNack{MediaSSRC: p.SSRC, Nacks: recent}},
		{&rtcp.PictureLossIndication{MediaSSRC: p.SSRC}},
		{&rtcp.FullIntraRequest{MediaSSRC: p.SSRC, FIR: firs}},
		{&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1 << 63, SSRCs: []uint32{p.SSRC}}},
	}
}

// spite is what else a student can say that costs work, or that is not true.
func spite(s *student) [][]rtcp.Packet {
	seen := s.video()
	p := seen[len(seen)-1]
	var reports []rtcp.ReceptionReport
	for i := range uint32(31) {
		reports = append(reports, rtcp.ReceptionReport{
			SSRC: p.SSRC + i, FractionLost: 255, TotalLost: 1 << 23, Jitter: math.MaxUint32, LastSenderReport: i, Delay: math.MaxUint32,
		})
	}
	var huge []rtcp.Packet
	for range 28 { // nearly what a socket's reader takes
		huge = append(huge, &rtcp.PictureLossIndication{MediaSSRC: p.SSRC}, &rtcp.ReceiverReport{Reports: reports[:1]})
	}
	arrivals := make(rtcp.RawPacket, 1000)
	for i := range arrivals {
		arrivals[i] = byte(rand.Uint32())
	}
	copy(arrivals, []byte{0x80 | rtcp.FormatTCC, byte(rtcp.TypeTransportSpecificFeedback)})
	binary.BigEndian.PutUint16(arrivals[2:], uint16(len(arrivals)/4-1))
	return [][]rtcp.Packet{
		{&rtcp.ReceiverEstimatedMaximumBitrate{SSRCs: []uint32{p.SSRC}}},
		{&rtcp.ReceiverReport{Reports: reports}},
		huge,
		{&rtcp.PictureLossIndication{MediaSSRC: rand.Uint32()}},
		{&rtcp.PictureLossIndication{SenderSSRC: rand.Uint32(), MediaSSRC: p.SSRC}},
		{&arrivals},
		{&rtcp.Goodbye{Sources: []uint32{p.SSRC}}},
	}
}

func TestAFloodOfFeedbackHarmsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		rate  int  // packets a second
		greed bool // it says nothing that would cost it its picture
	}{
		"of all kinds, 5,000 packets a second":    {rate: 5000},
		"of all kinds, as many as are read":       {rate: 190},
		"of requests, 5,000 packets a second":     {rate: 5000, greed: true},
		"of requests, as many as are read at all": {rate: 190, greed: true},
	} {
		t.Run(name, func(t *testing.T) {
			si := newSiege(t)
			s := si.join()
			s.whole(30)
			var all [][]rtcp.Packet
			n := often(si.lasting(), c.rate, func(i int) {
				if i%16 == 0 { // about the newest packets
					if all = greed(s); !c.greed {
						all = append(all, spite(s)...)
					}
				}
				_ = s.pc.WriteRTCP(all[i%len(all)])
			})
			st := s.subscriber.Stats().Video
			if st.Pleas == 0 || st.Resent == 0 || st.Resent > st.Packets+1 {
				t.Errorf("after %d packets of feedback: %+v", n, st)
			}
			if c.greed && (st.Packets < 90 || st.Resent < st.Packets/2 || si.counter("lyceum_edge_resends_total", "held") == 0) {
				t.Errorf("the requests have little effect: %+v", st)
			}
			t.Logf("%d packets of feedback: %+v; %d were not read", n, st, si.counter("lyceum_fan_feedback_dropped_total", "flood"))
			s.leaves()
			si.verdict()
		})
	}
}

// A student cannot be worth more keyframes to its class than its pleas are by choosing one layer after the other.
func TestWhoChangesItsMindHarmsNobody(t *testing.T) {
	si := newSiege(t)
	s := si.join()
	s.whole(30)
	often(si.lasting(), 20, func(i int) {
		if err := s.subscriber.Prefer(Wish{RID: []string{"f", "h", "q"}[i%3], AudioOnly: i%7 == 0}); err != nil {
			t.Error(err)
		}
	})
	s.leaves()
	si.verdict()
}

// deafSocket stops reading when it is told to, and ends with the socket.
type deafSocket struct {
	net.PacketConn
	deaf  atomic.Bool
	ended chan struct{}
}

func (d *deafSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	if d.deaf.Load() {
		<-d.ended
	}
	return d.PacketConn.ReadFrom(b)
}

// joinDeaf subscribes a student whose socket can be made deaf, and can be closed without a word.
func (si *siege) joinDeaf() (*student, *deafSocket) {
	si.t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		si.t.Fatal(err)
	}
	d := &deafSocket{PacketConn: c, ended: make(chan struct{})}
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: d})
	settings := loopback()
	settings.SetICEUDPMux(mux)
	s := newPlayerWith(si.t, settings)
	si.admit(s, s.offer(nil))
	s.whole(30)
	return s, d
}

func TestWhoStopsReadingOrVanishesHarmsNobody(t *testing.T) {
	si := newSiege(t)
	var deaf, gone []*student
	var stuck []*deafSocket
	for range 2 {
		s, d := si.joinDeaf()
		d.deaf.Store(true)
		deaf, stuck = append(deaf, s), append(stuck, d)
		s, d = si.joinDeaf()
		close(d.ended)
		_ = d.Close()
		gone = append(gone, s)
	}
	before := deaf[0].subscriber.Stats().Video.Packets
	<-si.lasting().Done()
	if n := deaf[0].subscriber.Stats().Video.Packets - before; n < 15 {
		t.Errorf("who does not read was sent %d packets", n)
	}
	for _, s := range gone {
		<-s.subscriber.Done()
		if !errors.Is(s.subscriber.reason, ErrLost) {
			t.Errorf("who vanished ended for %v", s.subscriber.reason)
		}
		_ = s.pc.Close()
	}
	for i, s := range deaf {
		close(stuck[i].ended)
		s.leaves()
		_ = stuck[i].Close()
	}
	si.verdict()
}

func TestAFloodOfMessagesHarmsNobody(t *testing.T) {
	si := newSiege(t)
	s := newPlayer(t)
	channel, err := s.pc.CreateDataChannel("flood", nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	channel.OnOpen(func() { close(opened) })
	si.admit(s, s.offer(nil))
	<-opened
	message := make([]byte, 16<<10)
	n := often(si.lasting(), 200, func(int) { _ = channel.Send(message) })
	if len(s.video()) == 0 {
		t.Error("the student itself gets nothing")
	}
	t.Logf("%d messages of 16 KiB, %d bytes still wait", n, channel.BufferedAmount())
	s.leaves()
	si.verdict()
}

func TestOffersAndRestartsWithoutEndHarmNobody(t *testing.T) {
	si := newSiege(t)
	var wg sync.WaitGroup
	ctx := si.lasting()
	var joined, restarted, trickled, failed int
	wg.Go(func() { // joins and never connects
		p := newPlayer(t)
		offer := p.offer(nil)
		joined = often(ctx, 50, func(int) {
			sub, _, err := si.edge.Subscribe(t.Context(), SubscribeRequest{Room: "algebra", Subject: "eve", Offer: offer})
			if err != nil {
				t.Error(err)
				return
			}
			sub.Close(ErrLeft)
		})
		_ = p.pc.Close()
	})
	s := si.join()
	s.whole(30)
	wg.Go(func() { // restarts and never follows
		offer, old := s.pc.LocalDescription(), "a=ice-ufrag:"+ufrag(s.pc.LocalDescription())
		restarted = often(ctx, 50, func(i int) {
			if _, err := s.subscriber.Restart(t.Context(), strings.ReplaceAll(offer.SDP, old, fmt.Sprintf("a=ice-ufrag:evil%d", i))); err != nil {
				failed++
			}
		})
	})
	wg.Go(func() { // names addresses where nobody is
		trickled = often(ctx, 50, func(i int) {
			s.subscriber.Trickle([]string{fmt.Sprintf("candidate:1 1 udp 1 127.0.0.1 %d typ host", 1024+i%50000)})
		})
	})
	wg.Wait()
	t.Logf("%d joins, %d restarts, of which %d failed, %d candidates", joined, restarted, failed, trickled)
	s.leaves()
	until(t, "the end of the sessions", func() bool { return si.edge.Sessions() == len(si.victims) })
	si.verdict()
}
