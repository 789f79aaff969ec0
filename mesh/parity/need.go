package parity

import "math"

// enough is the share of blocks that may fail.
const enough = .001

// Need is the number of parity shards, 1 to MaxParity, with which a block of k chunks fails less than once in 1,000 times.
// Loss is the share of packets that are lost; Burst is the mean number that are lost in a row, 1 or less for each by itself.
// Losses are taken for a compound Poisson process with geometric bursts (Pólya-Aeppli), summed by Panjer's recursion.
func Need(k int, loss, burst float64) int {
	burst = max(1, burst)
	stay := 1 - 1/burst // the chance that a burst goes on
	for m := 1; m < MaxParity; m++ {
		bursts := float64(k+m) * loss / burst
		var g [MaxParity]float64
		g[0] = math.Exp(-bursts)
		sum := g[0]
		for s := 1; s <= m; s++ {
			share := 1 - stay // of bursts of j
			for j := 1; j <= s; j++ {
				g[s] += bursts * float64(j) * share * g[s-j] / float64(s)
				share *= stay
			}
			sum += g[s]
		}
		if 1-sum <= enough {
			return m
		}
	}
	return MaxParity
}
