package geo

import "math"

// earthRadius is the mean radius of the Earth in kilometres.
const earthRadius = 6371.0088

// Point is a place on Earth in degrees, north and east positive. The zero Point, in the sea south of Ghana, stands for
// "not given".
type Point struct{ Lat, Lon float64 }

// Valid reports whether p is on Earth.
func (p Point) Valid() bool {
	// A NaN fails every comparison.
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}

// IsZero reports whether p is not given.
func (p Point) IsZero() bool { return p == Point{} }

// Kilometres returns the distance to q along the surface, by the haversine formula, right to half a percent.
func (p Point) Kilometres(q Point) float64 {
	const rad = math.Pi / 180
	sinLat, sinLon := math.Sin((q.Lat-p.Lat)*rad/2), math.Sin((q.Lon-p.Lon)*rad/2)
	h := sinLat*sinLat + math.Cos(p.Lat*rad)*math.Cos(q.Lat*rad)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}
