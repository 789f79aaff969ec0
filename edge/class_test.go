package edge

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"lyceum/edge/fan"
	"lyceum/edge/forward"
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

var vp8 = media.Codec{MimeType: "video/VP8", ClockRate: 90000}

// frameTime is that of 25 frames per second.
const frameTime = 40 * time.Millisecond

// teacher writes a camera of three layers, three packets to a frame, a keyframe every two seconds unless it is told.
type teacher struct {
	track  *relay.Track
	source uint32
	frame  int
	every  int // frames from one keyframe to the next
	number [3]uint64
	buf    [200]byte
}

func newTeacher(t *relay.Track, source uint32) *teacher {
	te := &teacher{track: t, source: source, every: 50}
	for l := range te.number {
		te.number[l] = uint64(source)<<32 + uint64(l)<<16
	}
	t.Start(te.info())
	return te
}

func (te *teacher) info() media.TrackInfo {
	return media.TrackInfo{Kind: media.Video, Codec: vp8, Source: te.source, Layers: []media.LayerInfo{
		{RID: "f", Width: 1280, Height: 720, Bitrate: 2_000_000},
		{RID: "h", Width: 640, Height: 360, Bitrate: 500_000},
		{RID: "q", Width: 320, Height: 180, Bitrate: 100_000},
	}}
}

// write writes one frame on each layer.
func (te *teacher) write() {
	key := te.frame%te.every == 0
	for l := range te.number {
		for part := range 3 {
			p := te.packet(media.Layer(l), part, key)
			te.track.Write(&p)
		}
	}
	te.frame++
}

func (te *teacher) packet(l media.Layer, part int, key bool) media.Packet {
	pid := uint16(te.frame + 1000*int(l))
	p := media.Packet{
		Layer: l, Source: te.source, Number: te.number[l], Frame: uint64(te.frame),
		Timestamp: uint32(te.frame*3600) + uint32(l)<<20, Captured: time.Now().UnixMicro(),
		Payload: append(te.buf[:0], 0x90, 0xe0, 0x80|byte(pid>>8), byte(pid), byte(te.frame), 0, byte(l))[:200],
	}
	if key {
		p.Flags |= media.Key
	}
	if part == 0 {
		p.Flags |= media.First
	}
	if part == 2 {
		p.Flags |= media.Last
	}
	binary.BigEndian.PutUint32(p.Payload[20:], uint32(te.frame))
	p.Payload[30] = byte(te.source)
	te.number[l]++
	return p
}

// teach writes frames in real time.
func (te *teacher) teach(frames int) {
	for range frames {
		te.write()
		time.Sleep(frameTime)
	}
}

// wire is what a leg writes to.
type wire struct {
	mu      sync.Mutex
	packets []rtp.Packet
	rtcp    []rtcp.Packet
	times   []time.Time
}

func (w *wire) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packets = append(w.packets, rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
	w.times = append(w.times, time.Now())
	return len(payload), nil
}

func (w *wire) Write([]byte) (int, error) { return 0, nil }

func (w *wire) writeRTCP(p []rtcp.Packet) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtcp = append(w.rtcp, p...)
	return nil
}

// take returns the packets since the last take.
func (w *wire) take() []rtp.Packet {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.packets
	w.packets, w.times = nil, nil
	return got
}

func (w *wire) binding() *binding {
	return &binding{
		ssrc: 11, repair: 12, stamp: 3, cname: "algebra", stream: w,
		codecs: []codec{{Codec: vp8, payload: 96, repair: 97, format: forward.FormatVP8}},
	}
}

// class is a pump that runs within a synctest bubble, with one leg.
type class struct {
	t     *testing.T
	hub   *relay.Hub
	track *relay.Track
	pump  *pump
	leg   *leg
	wire  *wire
}

func newClass(t *testing.T, kind media.Kind) *class {
	t.Helper()
	c := &class{t: t, hub: relay.NewHub(relay.Config{})}
	name := media.Camera
	if kind == media.Audio {
		name = media.Microphone
	}
	track, release := c.hub.Acquire(media.TrackID{Room: "algebra", Name: name})
	c.track = track
	began := time.Now()
	c.pump = newPump(track, kind, release, noFan(t), newMetrics(nil, &Edge{}), func() int64 { return time.Since(began).Microseconds() + 1 })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.pump.run(ctx) })
	wg.Go(func() { _ = c.hub.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	c.leg, c.wire = c.join(kind)
	synctest.Wait()
	return c
}

// noFan has no sockets: what legs write goes to their wire.
func noFan(t testing.TB) *fan.Fan {
	t.Helper()
	f, err := fan.New(fan.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// join adds a connected student.
func (c *class) join(kind media.Kind) (*leg, *wire) {
	w := &wire{}
	l := loneLeg(c.pump, w.binding(), w.writeRTCP, c.pump.now())
	c.pump.add(l)
	l.setOpen(true, c.pump.now())
	c.pump.poke()
	return l, w
}

// loneLeg is the only one of its subscriber, and has no choice of tracks.
func loneLeg(p *pump, out *binding, writeRTCP func([]rtcp.Packet) error, began int64) *leg {
	n := &network{}
	l := newLeg(p.kind, out, n, writeRTCP, began)
	if l.kind == media.Video {
		n.legs = []*leg{l}
	}
	l.choices = []*pump{p}
	l.carry(p)
	return l
}

// checkFlow fails when packets are not one continuous stream.
func checkFlow(t *testing.T, packets []rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		a, b := &packets[i-1], &packets[i]
		if b.SequenceNumber != a.SequenceNumber+1 {
			t.Fatalf("packet %d: sequence %d follows %d", i, b.SequenceNumber, a.SequenceNumber)
		}
		d := int32(b.Timestamp - a.Timestamp)
		pa, pb := forward.ParseVP8(a.Payload), forward.ParseVP8(b.Payload)
		step := (pb.Picture - pa.Picture) & 0x7fff
		switch {
		case a.Marker && (d <= 0 || d > 3*90000 || step != 1 || pb.TL0 != pa.TL0+1):
			t.Fatalf("packet %d: a new frame is %d ticks and %d pictures after the one before", i, d, step)
		case !a.Marker && (d != 0 || step != 0):
			t.Fatalf("packet %d: a frame has packets %d ticks and %d pictures apart", i, d, step)
		}
	}
}

func (c *class) keyframesAsked() int {
	n := 0
	for _, s := range c.hub.Status() {
		n += int(s.Requests)
	}
	return n
}

// layerOf and frameOf read what the teacher wrote into a packet.
func layerOf(p *rtp.Packet) byte { return p.Payload[6] }
func frameOf(p *rtp.Packet) int  { return int(binary.BigEndian.Uint32(p.Payload[20:])) }
