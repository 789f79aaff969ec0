//go:build race

package story

// crowd is smaller under the race detector, which makes every packet ten times dearer.
const crowd = 5
