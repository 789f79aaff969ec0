package origin

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"lyceum/mesh/media"
)

func testLayer(mime string) *layer {
	l := &layer{source: 7, rate: 90000, nack: true, capture: 5, metrics: newMetrics(nil, &Origin{}), look: lookerFor(mime)}
	l.sound = mime == "audio/opus"
	l.numbers.begin(100, 10)
	return l
}

func TestAKeyframeOfH264BeginsWithItsParameterSet(t *testing.T) {
	l := testLayer("video/H264")
	sps := unhex(t, spsBaseline360)
	var seq uint16
	send := func(ts uint32, marker bool, payload []byte) outcome {
		seq++
		return l.receive(&rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: ts, Marker: marker}, Payload: payload}, time.Unix(1, 0))
	}
	send(1, true, []byte{0x41, 0x9a, 0})
	if out := send(2, false, []byte{0x09, 0xf0}); out.packet != nil {
		t.Error("a delimiter became a packet")
	}
	for i, c := range []struct {
		payload []byte
		marker  bool
		want    media.Flags
	}{
		{sps, false, media.Key | media.First},
		{[]byte{0x68, 0xce, 0x3c, 0x80}, false, media.Key},
		{[]byte{0x7c, 0x85, 0x88}, false, media.Key},
		{[]byte{0x7c, 0x45, 0x88}, true, media.Key | media.Last},
	} {
		out := send(2, c.marker, c.payload)
		if out.packet == nil || out.packet.Flags != c.want || out.packet.Number != uint64(101+i) || out.packet.Frame != 11 {
			t.Errorf("packet %d of the keyframe: %+v, want flags %b", i, out.packet, c.want)
		}
		if out.resized != (i == 0) {
			t.Errorf("packet %d: resized %v", i, out.resized)
		}
	}
	if out := send(3, true, []byte{0x41, 0x9a, 0}); out.packet.Flags != media.First|media.Last {
		t.Errorf("the frame after has flags %b", out.packet.Flags)
	}
	seq++ // the end of a frame is lost
	if out := send(5, true, []byte{0x41, 0x9a, 0}); !out.packet.Flags.Has(media.First) {
		t.Error("a frame whose slice begins the picture is not seen to begin")
	}
	seq++
	if out := send(6, true, []byte{0x65, 0x88}); out.packet.Flags.Has(media.First) {
		t.Error("an IDR slice after a loss was taken for a whole keyframe; its parameter sets may be lost")
	}
}

func TestCaptureTimeIsThePublishersWord(t *testing.T) {
	l := testLayer("video/VP8")
	arrival := time.UnixMicro(2_000_000_000_000)
	packet := func(seq uint16, ts uint32) *rtp.Packet {
		return &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: ts}, Payload: vp8Key()}
	}
	if out := l.receive(packet(1, 9000), arrival); out.packet.Captured != arrival.UnixMicro() {
		t.Errorf("nothing known: captured %d, want the arrival", out.packet.Captured)
	}
	l.reported(media.Clock{NTP: media.NTPFromMicros(1_000_000_000_000), RTP: 9000})
	if out := l.receive(packet(2, 18000), arrival); out.packet.Captured != 1_000_000_100_000 {
		t.Errorf("by the sender report: captured %d", out.packet.Captured)
	}
	p := packet(3, 27000)
	ntp := media.NTPFromMicros(1_000_000_150_000)
	var ext [8]byte
	for i := range ext {
		ext[i] = byte(ntp >> (56 - 8*i))
	}
	if err := p.SetExtension(5, ext[:]); err != nil {
		t.Fatal(err)
	}
	if out := l.receive(p, arrival); out.packet.Captured != 1_000_000_150_000 {
		t.Errorf("by its own word: captured %d", out.packet.Captured)
	}
	if out := l.receive(packet(4, 36000), arrival); out.packet.Captured != 1_000_000_250_000 {
		t.Errorf("100 ms later: captured %d", out.packet.Captured)
	}
}

func TestSoundIsOneFrameAPacket(t *testing.T) {
	l := testLayer("audio/opus")
	for i := range uint16(3) {
		out := l.receive(&rtp.Packet{Header: rtp.Header{SequenceNumber: i, Timestamp: uint32(i) * 960}, Payload: []byte{1}}, time.Unix(1, 0))
		if out.packet.Flags != media.First|media.Last || out.packet.Frame != 10+uint64(i) {
			t.Errorf("packet %d: %+v", i, out.packet)
		}
	}
}

func TestReceiveAllocatesNothing(t *testing.T) {
	for _, mime := range []string{"video/VP8", "video/H264", "audio/opus"} {
		l := testLayer(mime)
		now := time.Unix(1, 0)
		p := &rtp.Packet{Payload: make([]byte, 1100)}
		p.Payload[0] = 0x41
		if n := testing.AllocsPerRun(2000, func() {
			p.SequenceNumber++
			p.Timestamp += 1000
			if l.receive(p, now).packet == nil {
				t.Fatal("no packet")
			}
		}); n != 0 {
			t.Errorf("%s: %.1f allocations a packet", mime, n)
		}
	}
}

func TestBitrate(t *testing.T) {
	l := testLayer("video/VP8")
	now := time.Unix(1, 0)
	l.at = now
	l.bytes += 125_000
	now = now.Add(time.Second)
	if got := l.measure(now).Bitrate; got != 1_000_000 {
		t.Errorf("first second: %d bit/s", got)
	}
	now = now.Add(time.Second)
	if got := l.measure(now).Bitrate; got != 1 {
		t.Errorf("a silent second: %d bit/s, want 1: known to be silent", got)
	}
}

func BenchmarkReceive(b *testing.B) {
	l := testLayer("video/VP8")
	now := time.Unix(1, 0)
	p := &rtp.Packet{Payload: make([]byte, 1100)}
	p.Payload[0] = 0x10
	p.Payload[1] = 1
	for b.Loop() {
		p.SequenceNumber++
		p.Timestamp += 1000
		l.receive(p, now)
	}
}

func TestBirthIsThatOfThePacketThatCameSoonest(t *testing.T) {
	l := testLayer("video/VP8")
	start := time.Unix(1_700_000_000, 0)
	frame := func(i int, late time.Duration) {
		l.receive(&rtp.Packet{
			Header: rtp.Header{SequenceNumber: uint16(i), Timestamp: uint32(i) * 3000, Marker: true}, Payload: []byte{0x10, 0},
		}, start.Add(time.Duration(i)*time.Second/30+late))
	}
	for i, late := range []time.Duration{30, 12, 5, 60, 9} {
		frame(i+1, late*time.Millisecond)
	}
	c := l.birth()
	want := start.Add(10*time.Second/30 + 5*time.Millisecond).UnixMicro()
	if got := c.Micros(10*3000, 90000); got < want-2 || got > want+2 {
		t.Errorf("the tenth frame is born %d µs beside the moment at which it would come soonest", got-want)
	}
	if l.birth().Known() {
		t.Error("what was told once is told again")
	}
	frame(6, 40*time.Millisecond) // the publisher's clock may have drifted: the next second begins anew
	if got := l.birth().Micros(10*3000, 90000); got-want < 34_000 || got-want > 36_000 {
		t.Errorf("the second look says %d µs more", got-want)
	}
}
