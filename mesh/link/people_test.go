package link

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// publisher is a teacher at a node.
type publisher struct {
	track  *relay.Track
	layers int
	audio  bool
	mu     sync.Mutex // of number, for those who look while it plays
	number []uint64
	frame  uint64
	sent   atomic.Int64 // frames, each in every layer
	asked  atomic.Int64 // keyframe requests that came
}

func videoInfo(source uint32, layers int) media.TrackInfo {
	i := media.TrackInfo{
		Kind: media.Video, Source: source,
		Codec: media.Codec{MimeType: "video/VP8", ClockRate: 90000, Fmtp: "x=1"},
	}
	for l := range layers {
		i.Layers = append(i.Layers, media.LayerInfo{
			RID: fmt.Sprint("r", l), Width: uint16(320 << l), Height: uint16(180 << l), Bitrate: uint32(200_000 << l),
		})
	}
	return i
}

func audioInfo(source uint32) media.TrackInfo {
	return media.TrackInfo{
		Kind: media.Audio, Source: source, Layers: make([]media.LayerInfo, 1),
		Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2},
	}
}

func (n *node) publish(id media.TrackID, layers int) *publisher {
	track, release := n.hub.Acquire(id)
	n.t.Cleanup(release)
	p := &publisher{track: track, layers: layers, audio: id.Name == media.Microphone, number: make([]uint64, layers)}
	if p.audio {
		track.Start(audioInfo(1))
	} else {
		track.Start(videoInfo(1, layers))
	}
	for l := range p.number {
		p.number[l] = uint64(l+1) << 40
	}
	p.frame = 1 << 41
	return p
}

// counting is every payload: its bytes count upwards. Nobody may change it.
var counting = func() (b [256 + media.MaxPayload]byte) {
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

// payload has a content that can be checked, and must not be changed.
func payload(number uint64, size int) []byte {
	return counting[number%256:][:size]
}

// write sends one frame of so many packets in every layer.
func (p *publisher) write(packets, size int, key bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frame++
	for l := range p.layers {
		p.put(l, packets, size, key)
	}
	p.sent.Add(1)
}

// put writes one layer's part of the present frame.
func (p *publisher) put(l, packets, size int, key bool) {
	for i := range packets {
		pk := media.Packet{
			Layer: media.Layer(l), Source: 1, Number: p.number[l], Frame: p.frame, Timestamp: uint32(p.frame * 3000),
			Captured: time.Now().UnixMicro() + int64(i), Payload: payload(p.number[l], size),
		}
		if key {
			pk.Flags |= media.Key
		}
		if i == 0 {
			pk.Flags |= media.First
		}
		if i == packets-1 {
			pk.Flags |= media.Last
		}
		p.track.Write(&pk)
		p.number[l]++
	}
}

// numbers are the numbers of the next packets.
func (p *publisher) numbers() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.number)
}

// play publishes for a time at 30 frames a second, each of so many packets, with a keyframe of five times the size every
// four seconds.
func (p *publisher) play(d time.Duration, packets int) {
	ticker := time.NewTicker(time.Second / 30)
	defer ticker.Stop()
	for n := 0; n < int(d.Seconds()*30); n++ {
		<-ticker.C
		if n%120 == 0 {
			p.write(5*packets, 1150, true)
		} else {
			p.write(packets, 1150, false)
		}
		p.asked.Add(int64(p.track.TakeDemand().Keyframes.Len()))
	}
}

// viewer reads a track at a node as an edge would.
type viewer struct {
	track   *relay.Track
	reader  *relay.Reader
	release func()
	leave   func()

	mu      sync.Mutex
	packets map[media.Layer]map[uint64]media.Packet
	delays  []time.Duration
	last    time.Time
	gap     time.Duration // the longest time between two packets
}

func (n *node) watch(id media.TrackID, layers ...media.Layer) *viewer {
	track, release := n.hub.Acquire(id)
	v := &viewer{track: track, reader: track.NewReader(), release: release, packets: map[media.Layer]map[uint64]media.Packet{}}
	v.reader.Want(media.LayersOf(layers...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var p media.Packet
			for v.reader.Next(&p) {
				v.mu.Lock()
				if v.packets[p.Layer] == nil {
					v.packets[p.Layer] = map[uint64]media.Packet{}
				}
				v.packets[p.Layer][p.Number] = p
				v.delays = append(v.delays, time.Since(time.UnixMicro(p.Captured)))
				if now := time.Now(); !v.last.IsZero() {
					v.gap = max(v.gap, now.Sub(v.last))
				}
				v.last = time.Now()
				v.mu.Unlock()
				p = media.Packet{}
			}
			select {
			case <-v.reader.Wait():
			case <-ctx.Done():
				return
			}
		}
	}()
	v.leave = sync.OnceFunc(func() {
		cancel()
		<-done
		v.reader.Close()
		release()
	})
	n.t.Cleanup(v.leave)
	return v
}

// longest returns the longest time between two packets so far, and begins to measure anew.
func (v *viewer) longest() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	gap := v.gap
	v.gap = 0
	return gap
}

// missing counts the packets between two numbers that did not come, and checks those that did.
func (v *viewer) missing(t *testing.T, l media.Layer, from, to uint64) (n int) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for number := from; number < to; number++ {
		p, ok := v.packets[l][number]
		if !ok {
			n++
			continue
		}
		if want := payload(number, len(p.Payload)); string(want) != string(p.Payload) {
			t.Fatalf("layer %d packet %d carries other bytes", l, number)
		}
	}
	return n
}
