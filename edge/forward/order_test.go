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
