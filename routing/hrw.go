package routing

import (
	"math"
	"math/bits"
)

// Rendezvous hashing (Thaler and Ravishankar, 1998) lets every node find the same best nodes for a room without asking
// anybody, and moves only what a lost node had. All nodes must compute the same, on every machine and in every release
// that works in one cluster, so that the hash is spelt out here.

// FNV-1a, 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// hashText continues a hash with a text and a mark of its end, so that "ab", "c" and "a", "bc" differ.
func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime
}

// spread makes every bit of the result depend on every bit of h: FNV alone leaves names that differ in their last
// letter close together. It is the finaliser of MurmurHash3.
func spread(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// roomKey stands for a room, nodeKey for a node as that room sees it.
func roomKey(room string) uint64 { return hashText(fnvOffset, room) }

func nodeKey(room uint64, node string) uint64 { return spread(hashText(room, node)) }

// pairKey stands for a node, as a room sees it, together with one of the things that it may be or choose.
func pairKey(node, thing uint64) uint64 { return spread(node ^ bits.RotateLeft64(thing, 21)) }

// score is how well a node of a given weight suits: among many rooms, a node is the best for a share in proportion to
// its weight, and a change of its weight moves no room between two other nodes.
func score(key uint64, weight float64) float64 {
	unit := (float64(key>>12) + 0.5) / (1 << 52) // between 0 and 1, never either
	return -weight / math.Log(unit)
}
