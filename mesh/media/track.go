package media

import (
	"fmt"
	"iter"
	"math/bits"
)

// Kind is what a track carries.
type Kind uint8

const (
	// Audio is sound; it has one layer.
	Audio Kind = 1 + iota
	// Video has one to MaxLayers layers.
	Video
)

func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MaxLayers bounds the simulcast layers of a track. Browsers and OBS send at most three.
const MaxLayers = 4

// Layer is the place of a simulcast layer in TrackInfo.Layers. It says nothing about quality.
type Layer uint8

// LayerSet is a set of layers. The zero value is empty.
type LayerSet uint8

// LayersOf returns the set of the given layers.
func LayersOf(layers ...Layer) LayerSet {
	var s LayerSet
	for _, l := range layers {
		s |= 1 << l
	}
	return s
}

// AllLayers is the set of every possible layer.
const AllLayers LayerSet = 1<<MaxLayers - 1

// Has reports whether l is in the set.
func (s LayerSet) Has(l Layer) bool { return l < MaxLayers && s&(1<<l) != 0 }

// Add returns the set with l added.
func (s LayerSet) Add(l Layer) LayerSet { return s | 1<<l }

// Len is the number of layers in the set.
func (s LayerSet) Len() int { return bits.OnesCount8(uint8(s)) }

// All iterates over the layers in the set, lowest index first.
func (s LayerSet) All() iter.Seq[Layer] {
	return func(yield func(Layer) bool) {
		for l := range Layer(MaxLayers) {
			if s.Has(l) && !yield(l) {
				return
			}
		}
	}
}

// LayerInfo describes one layer as last measured at the origin. Zero fields are not known yet.
type LayerInfo struct {
	// RID is the publisher's name for the layer (RFC 8851); it is empty without simulcast.
	RID string
	// Width and Height are in pixels.
	Width, Height uint16
	// Bitrate is in bits per second, smoothed over some seconds.
	Bitrate uint32
}

// Codec says how payloads are to be decoded.
type Codec struct {
	// MimeType is as in SDP, "video/VP8" for example.
	MimeType string
	// ClockRate is in Hz.
	ClockRate uint32
	// Channels is 2 for Opus and 0 for video.
	Channels uint16
	// Fmtp is the publisher's format line, "profile-level-id=42e01f;packetization-mode=1" for example.
	Fmtp string
}

// TrackID names a track. Names within a room are fixed by what is published: "camera", "microphone".
type TrackID struct {
	Room, Name string
	// Origin is the node where the track is born, for one that is not born at the room's home; "" means the home, wherever
	// that is just now.
	Origin string
}

// String is the room and the name, and the origin of a track that is not born at the home: "algebra/talk@sin-1".
func (id TrackID) String() string {
	if id.Origin != "" {
		return id.Room + "/" + id.Name + "@" + id.Origin
	}
	return id.Room + "/" + id.Name
}

// The tracks of a teacher: those of the camera's publication, and those of a screen that is shared beside it.
const (
	Camera      = "camera"
	Microphone  = "microphone"
	Screen      = "screen"
	ScreenSound = "screen-sound"
)

// TrackInfo describes a track while somebody publishes it.
type TrackInfo struct {
	Kind   Kind
	Codec  Codec
	Source uint32
	// Layers has one entry for audio and 1 to MaxLayers for video, in order of their appearance.
	Layers []LayerInfo
}

// Set is the set of layers that the track has.
func (i *TrackInfo) Set() LayerSet { return LayerSet(1<<len(i.Layers) - 1) }

// Clock ties a layer's RTP timestamps to the publisher's wall clock, as an RTCP sender report does
// (RFC 3550, section 6.4.1). The zero value is a clock that is not known.
type Clock struct {
	// NTP is the wall clock in the 64-bit format of RFC 5905.
	NTP uint64
	// RTP is the timestamp at that moment.
	RTP uint32
}

// Known reports whether the clock was ever set.
func (c Clock) Known() bool { return c.NTP != 0 }
