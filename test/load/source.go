package main

import (
	"context"
	"fmt"
	"time"

	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// The traffic that the targets speak of: 30 frames a second and a keyframe every four seconds, of 60 KB in a track of
// 3 Mbps and in proportion in others; sound of 64 kbps in packets of 20 ms.
const (
	fps         = 30
	keyInterval = 4 * fps
	fullRate    = 3_000_000 // bits per second
	fullKey     = 60_000    // bytes
	payloadSize = 1150      // bytes; larger frames are cut into packets of about this size
	soundRate   = 50        // packets per second
	soundSize   = 160       // bytes
)

// feed is one track on its way from a source to a sink.
type feed struct {
	id      media.TrackID
	rates   []int // bits per second of each layer; nil for sound
	phase   int   // of the feeds that start evenly spread over a frame, and their keyframes over an interval
	phases  int
	spaced  time.Duration // pause between the packets of a frame; 0 writes them at once
	ledgers []*ledger
}

// newFeeds makes n rooms with a camera of the given layers, the first of them with a microphone too.
func newFeeds(n int, rates ...int) (feeds []*feed) {
	for i := range n {
		id := media.TrackID{Room: fmt.Sprintf("room-%d", i), Name: media.Camera}
		f := &feed{id: id, rates: rates, phase: i, phases: n}
		for range rates {
			f.ledgers = append(f.ledgers, &ledger{})
		}
		feeds = append(feeds, f)
	}
	sound := media.TrackID{Room: feeds[0].id.Room, Name: media.Microphone}
	return append(feeds, &feed{id: sound, phases: 1, ledgers: []*ledger{{}}})
}

func (f *feed) sound() bool { return f.rates == nil }

func (f *feed) info() media.TrackInfo {
	if f.sound() {
		return media.TrackInfo{
			Kind: media.Audio, Source: 1, Layers: make([]media.LayerInfo, 1),
			Codec: media.Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2},
		}
	}
	i := media.TrackInfo{Kind: media.Video, Source: 1, Codec: media.Codec{MimeType: "video/VP8", ClockRate: 90000}}
	for l, rate := range f.rates {
		i.Layers = append(i.Layers, media.LayerInfo{
			RID: fmt.Sprint(l), Width: 320 << l, Height: 180 << l, Bitrate: uint32(rate),
		})
	}
	return i
}

// frameSize is the size of a frame in bytes, so that all of an interval make up the rate.
func frameSize(rate int, key bool) int {
	keyframe := fullKey * rate / fullRate
	if key {
		return keyframe
	}
	return (rate/8*keyInterval/fps - keyframe) / (keyInterval - 1)
}

// outlet takes the packets of a source.
type outlet interface {
	Write(p *media.Packet) bool
	TakeDemand() relay.Demand
}

// source writes one track as a publisher does.
type source struct {
	// Set by newSource, never changed.
	feed  *feed
	track outlet

	// Owned by run.
	packet media.Packet
	number []uint64
	id     uint64
}

func newSource(f *feed, t outlet) *source {
	s := &source{feed: f, track: t, id: 1, packet: media.Packet{Source: 1, Payload: make([]byte, 0, media.MaxPayload)}}
	for range f.ledgers {
		s.number = append(s.number, uint64(time.Now().UnixMilli())<<20)
	}
	return s
}

// wanted waits until somebody wants every layer of a track.
func wanted(ctx context.Context, t *relay.Track, layers media.LayerSet) error {
	for t.TakeDemand().Layers != layers {
		select {
		case <-t.Demands():
		case <-ctx.Done():
			return fmt.Errorf("nobody asked for %s: %w", t.ID(), ctx.Err())
		}
	}
	return nil
}

// run writes frames until ctx is done.
func (s *source) run(ctx context.Context) {
	f := s.feed
	period := time.Second / fps
	if f.sound() {
		period = time.Second / soundRate
	}
	start := time.Now().Add(period * time.Duration(f.phase) / time.Duration(f.phases))
	keyPhase := keyInterval * f.phase / f.phases
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		timer.Reset(time.Until(start.Add(time.Duration(n) * period)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		asked := s.track.TakeDemand().Keyframes
		for l, led := range f.ledgers {
			size, key := soundSize, false
			if !f.sound() {
				// A publisher begins with a keyframe, and answers who asks for one.
				key = n == 0 || (n+keyPhase)%keyInterval == 0 || asked.Has(media.Layer(l))
				size = frameSize(f.rates[l], key)
			}
			s.write(ctx, led, media.Layer(l), size, key)
		}
		s.id++
	}
}

// write writes a frame of one layer.
func (s *source) write(ctx context.Context, led *ledger, l media.Layer, size int, key bool) {
	packets := (size + payloadSize - 1) / payloadSize
	now := time.Now()
	led.sent(s.id, s.number[l], packets, key, now)
	p := &s.packet
	p.Layer, p.Frame = l, s.id
	p.Timestamp = uint32(s.id * 90000 / fps)
	for i := range packets {
		p.Number, p.Captured = s.number[l], time.Now().UnixMicro()
		p.Flags = 0
		if key {
			p.Flags |= media.Key
		}
		if i == 0 {
			p.Flags |= media.First
		}
		if i == packets-1 {
			p.Flags |= media.Last
		}
		p.Payload = p.Payload[:size/packets]
		s.track.Write(p)
		s.number[l]++
		if s.feed.spaced > 0 && i < packets-1 {
			select {
			case <-time.After(s.feed.spaced):
			case <-ctx.Done():
			}
		}
	}
}

// sink reads one track as an edge does and notes what arrives, until ctx is done.
func sink(ctx context.Context, f *feed, t *relay.Track) {
	r := t.NewReader()
	defer r.Close()
	info := f.info()
	r.Want(info.Set())
	var p media.Packet
	for {
		for r.Next(&p) {
			now := time.Now()
			f.ledgers[p.Layer].got(p.Frame, p.Number, now, now.Sub(time.UnixMicro(p.Captured)))
		}
		select {
		case <-r.Wait():
		case <-ctx.Done():
			return
		}
	}
}
