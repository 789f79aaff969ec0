package geo

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"sync"
)

//go:embed data/countries.csv
var countriesCSV []byte

// country is one line of data/countries.csv.
type country struct {
	name  string
	point Point
}

// countries returns the table of countries by ISO code, read once.
var countries = sync.OnceValue(func() map[string]country {
	t, err := parseCountries(countriesCSV)
	if err != nil {
		panic(fmt.Sprintf("data/countries.csv, which is part of this program, is damaged: %v", err))
	}
	return t
})

func parseCountries(text []byte) (map[string]country, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comment, r.FieldsPerRecord = '#', 4
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	t := make(map[string]country, len(lines))
	for _, l := range lines {
		lat, err := strconv.ParseFloat(l[1], 64)
		if err != nil {
			return nil, fmt.Errorf("latitude of %s: %w", l[3], err)
		}
		lon, err := strconv.ParseFloat(l[2], 64)
		if err != nil {
			return nil, fmt.Errorf("longitude of %s: %w", l[3], err)
		}
		t[l[0]] = country{name: l[3], point: Point{Lat: lat, Lon: lon}}
	}
	return t, nil
}
