// Package geo knows where an address is and how far apart two places are.
//
// A campus that the operator describes comes first, then a GeoIP database: the file that the operator names, or the
// country database that is embedded here with its licence.
package geo
