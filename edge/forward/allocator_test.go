package forward

import (
	"slices"
	"testing"

	"lyceum/mesh/media"
)

func TestLayersAreOrderedByWhatWasMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		layers []media.LayerInfo
		want   []media.Layer
	}{
		"browser":              {[]media.LayerInfo{{RID: "q", Width: 320, Height: 180}, {RID: "h", Width: 640, Height: 360}, {RID: "f", Width: 1280, Height: 720}}, []media.Layer{2, 1, 0}},
		"OBS":                  {[]media.LayerInfo{{RID: "0", Width: 1280, Height: 720}, {RID: "1", Width: 640, Height: 360}}, []media.Layer{0, 1}},
		"by rate, sizes equal": {[]media.LayerInfo{{Width: 640, Height: 360, Bitrate: 1}, {Width: 640, Height: 360, Bitrate: 5}}, []media.Layer{1, 0}},
		"nothing known":        {make([]media.LayerInfo, 3), []media.Layer{0, 1, 2}},
		"one":                  {make([]media.LayerInfo, 1), []media.Layer{0}},
	} {
		if got := Order(c.layers); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAllocatorGoesDownOnLossAndUpWhenItIsClean(t *testing.T) {
	var a Allocator
	now := int64(1)
	report := func(lost float64, seconds int) {
		for range seconds {
			now += 1_000_000
			a.Report(lost, 3, now)
		}
	}
	order := []media.Layer{2, 1, 0}
	expect := func(what string, want media.Layer) {
		t.Helper()
		if got := a.Choose(order); got != want {
			t.Errorf("%s: layer %d, want %d", what, got, want)
		}
	}
	expect("at first", 2)
	report(0.5, 1)
	report(0, 1)
	report(0.5, 1)
	expect("after single bad reports", 2)
	report(0.5, 1)
	expect("after two in a row", 1)
	report(0.05, 30)
	expect("neither bad nor clean", 1)
	report(0, 10)
	expect("not clean for long enough", 1)
	report(0, 1)
	expect("clean for 10 s", 2)
	report(0.5, 2)
	expect("the step up has failed", 1)
	report(0, 12)
	expect("the next step up takes longer", 1)
	report(0, 10)
	expect("but comes", 2)
	report(0.5, 20)
	expect("heavy loss", 0)
	if got := a.Choose(order[:1]); got != 2 {
		t.Errorf("with one layer: %d", got)
	}
}
