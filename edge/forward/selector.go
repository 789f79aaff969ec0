package forward

import "lyceum/mesh/media"

// Verdict is what a Selector says about a packet.
type Verdict uint8

const (
	// Drop means that the subscriber does not get the packet.
	Drop Verdict = iota
	// Continue means that the packet belongs to what the subscriber already gets.
	Continue
	// Begin means that the subscriber gets its layer from this packet on. The caller then calls Selector.Begin.
	Begin
)

const (
	// stale is by how much a keyframe may be older than what the subscriber has seen and still be a place to change
	// layers: more would show the same moment twice. In microseconds.
	stale = 100_000
	// asunder is by how much the capture times of two layers differ when they are not on one clock, in microseconds. It
	// happens while only one of the layers has had a sender report.
	asunder = 10_000_000
)

// Selector decides which packets of a track one subscriber gets. It changes layers only at the first packet of a keyframe.
type Selector struct {
	sound    bool
	playing  bool
	layer    media.Layer
	target   media.Layer
	source   uint32
	captured int64 // of the newest packet that passed
}

// NewSelector makes a selector that waits for the first keyframe of layer 0, or for any packet of sound.
func NewSelector(kind media.Kind) Selector { return Selector{sound: kind == media.Audio} }

// Aim says which layer the subscriber is to get as soon as there is a keyframe.
func (s *Selector) Aim(target media.Layer) { s.target = target }

// Restart lets nothing pass until the next keyframe of the target.
func (s *Selector) Restart() { s.playing = false }

// Take says what to do with a packet.
func (s *Selector) Take(p *media.Packet) Verdict {
	switch {
	case s.playing && p.Source == s.source && p.Layer == s.layer:
		s.captured = max(s.captured, p.Captured)
		return Continue
	case s.sound:
		return Begin
	case p.Layer != s.target || !p.Flags.Has(media.Key|media.First):
		return Drop
	case s.playing && p.Source == s.source:
		if age := s.captured - p.Captured; age > stale && age < asunder {
			return Drop
		}
	}
	return Begin
}

// Begin says that the subscriber gets the layer of p from p on.
func (s *Selector) Begin(p *media.Packet) {
	s.playing, s.layer, s.source, s.captured = true, p.Layer, p.Source, p.Captured
}

// Playing returns the layer that passes now, if one does.
func (s *Selector) Playing() (media.Layer, bool) { return s.layer, s.playing }

// Target is the layer aimed at.
func (s *Selector) Target() media.Layer { return s.target }

// Waits returns the layer that a keyframe is missing of, if one is.
func (s *Selector) Waits() (media.Layer, bool) {
	return s.target, !s.sound && (!s.playing || s.layer != s.target)
}

// Layers are the layers that must be at hand: the one that passes and the one aimed at.
func (s *Selector) Layers() media.LayerSet {
	set := media.LayersOf(s.target)
	if s.playing {
		set = set.Add(s.layer)
	}
	return set
}
