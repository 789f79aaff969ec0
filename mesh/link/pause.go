package link

import (
	"slices"

	"lyceum/mesh/media"
)

// paused is the bitrate of a layer that is known to carry nothing now. Edges do not choose such a layer.
const paused = 1

// shed stops a layer for want of room. The child is told that it carries nothing, so that its students change to another.
func (s *serving) shed(l media.Layer) {
	s.mu.Lock()
	s.pause = s.pause.Add(l)
	s.mu.Unlock()
	poke(s.wake)
}

// resume lets a layer flow again. It starts with a new keyframe: what came since the last one would take the room of
// several seconds at once.
func (s *serving) resume(l media.Layer) {
	s.mu.Lock()
	s.pause &^= media.LayersOf(l)
	s.fresh = s.fresh.Add(l)
	s.mu.Unlock()
	poke(s.wake)
}

// flowing is the set of layers that are sent.
func (s *serving) flowing() media.LayerSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wants &^ s.pause
}

// withoutPaused says of the paused layers that they carry nothing.
func (s *serving) withoutPaused(info media.TrackInfo) media.TrackInfo {
	s.mu.Lock()
	pause := s.pause
	s.mu.Unlock()
	if pause == 0 {
		return info
	}
	info.Layers = slices.Clone(info.Layers)
	for l := range pause.All() {
		if int(l) < len(info.Layers) {
			info.Layers[l].Bitrate = paused
		}
	}
	return info
}
