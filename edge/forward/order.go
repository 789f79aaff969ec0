package forward

import (
	"cmp"
	"slices"

	"lyceum/mesh/media"
)

// Order returns the layers from best to worst by what was measured: pixels, then bitrate, then the publisher's order. The
// names that publishers give to layers say nothing: OBS calls its largest "0", some call their smallest so.
func Order(layers []media.LayerInfo) []media.Layer {
	order := make([]media.Layer, min(len(layers), media.MaxLayers))
	for i := range order {
		order[i] = media.Layer(i)
	}
	slices.SortStableFunc(order, func(a, b media.Layer) int {
		x, y := &layers[a], &layers[b]
		return cmp.Or(cmp.Compare(int(y.Width)*int(y.Height), int(x.Width)*int(x.Height)), cmp.Compare(y.Bitrate, x.Bitrate))
	})
	return order
}
