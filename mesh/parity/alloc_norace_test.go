//go:build !race

package parity

// raced: the race detector is off.
const raced = false
