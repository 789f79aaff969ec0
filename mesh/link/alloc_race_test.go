//go:build race

package link

// raced: the race detector is on, under which pools lose things and slices escape, so that allocations tell nothing.
const raced = true
