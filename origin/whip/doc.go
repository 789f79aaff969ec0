// Package whip speaks WHIP (RFC 9725): HTTP in front of origin.
package whip
