package forward

import (
	"cmp"
	"slices"

	"lyceum/mesh/media"
)

const (
	lossy = 0.10 // a fraction lost that the picture does not survive
	clean = 0.02 // a fraction lost that repair hides

	// Times in microseconds. A step up that fails makes the next one wait twice as long, up to the last.
	firstHold = 10_000_000
	lastHold  = 120_000_000
	trial     = 30_000_000 // how soon a step down condemns the step up before it
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

// Allocator decides by loss reports how many layers below the best one subscriber is served. The zero value is ready.
type Allocator struct {
	down  int
	bad   int   // lossy reports in a row
	clean int64 // since when the reports are clean, 0 if they are not
	hold  int64 // how long they must be clean before a step up
	up    int64 // when the last step up was, 0 for never
}

// Report takes in the fraction of packets lost since the last report, while there are so many layers to choose from.
func (a *Allocator) Report(lost float64, layers int, now int64) {
	if a.hold == 0 {
		a.hold = firstHold
	}
	if lost < clean {
		a.bad = 0
		if a.clean == 0 {
			a.clean = now
		}
		if a.up != 0 && now-a.up > trial {
			a.up, a.hold = 0, firstHold
		}
		if a.down > 0 && now-a.clean >= a.hold {
			a.down--
			a.clean, a.up = now, now
		}
		return
	}
	a.clean = 0
	if lost <= lossy {
		a.bad = 0
		return
	}
	if a.bad++; a.bad < 2 || a.down >= layers-1 {
		return
	}
	a.down++
	a.bad = 0
	if a.up != 0 && now-a.up <= trial {
		a.hold = min(2*a.hold, lastHold)
	}
	a.up = 0
}

// Down is how many steps below the best the subscriber is served.
func (a *Allocator) Down() int { return a.down }

// Choose picks from layers that are ordered from best to worst. There must be one.
func (a *Allocator) Choose(order []media.Layer) media.Layer { return order[min(a.down, len(order)-1)] }
