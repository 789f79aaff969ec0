//go:build !race

package link

// raced: the race detector is off.
const raced = false
