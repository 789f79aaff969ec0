//go:build !race

package story

// crowd is how many students come to each of four edges within ten seconds.
const crowd = 50
