package link

import (
	"lyceum/mesh/media"
	"lyceum/mesh/relay"
)

// lacksBefore is how far before the newest keyframe it is looked for packets that are missing: those may have been under
// way when the parent was lost.
const lacksBefore = 256

// lacks finds the first packet of each layer that the track does not have. For a layer of which there is nothing it is
// what a child has asked for.
func (f *feed) lacks(layers media.LayerSet) (from [media.MaxLayers]uint64) {
	hints := f.links.ways.takeHints(f.track, layers)
	audio := f.track.State().Info.Kind == media.Audio
	for l := range layers.All() {
		if from[l] = firstLacking(f.track, l, audio); from[l] == 0 {
			from[l] = hints[l]
		}
	}
	return from
}

// firstLacking finds the first packet of a layer that is not there, from a little before the newest keyframe on. A layer
// without a keyframe to start from is lacking as a whole: 0.
func firstLacking(t *relay.Track, l media.Layer, audio bool) uint64 {
	head, ok := t.Head(l)
	if !ok {
		return 0
	}
	if audio {
		return head + 1
	}
	key, ok := t.Keyframe(l)
	if !ok {
		return 0
	}
	var p media.Packet
	n := key - min(key-1, lacksBefore)
	for n < key && !t.Packet(l, n, &p) {
		n++
	}
	for n <= head && t.Packet(l, n, &p) {
		n++
	}
	return n
}
