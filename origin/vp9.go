package origin

import "lyceum/mesh/media"

// lookVP9 reads the payload descriptor. All levels of a picture are one frame: it begins with the lowest one.
func lookVP9(p []byte) look {
	if len(p) == 0 {
		return look{empty: true}
	}
	d, ok := media.ParseVP9(p)
	if !ok {
		return look{sure: true}
	}
	return look{
		starts: d.Begins && d.Level == 0, sure: true, key: !d.Inter && d.Level == 0, empty: d.Body == len(p),
		width: d.Width, height: d.Height, level: d.Level, ends: d.Ends,
	}
}
