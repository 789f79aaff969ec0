package parity

import "github.com/klauspost/reedsolomon"

const (
	// MaxData is the most chunks of a block: the place of each fits into the bits of a word.
	MaxData = 64
	// MaxParity is the most parity shards of a block. Where a quarter of a full block would not do, the way is no longer one
	// for live video.
	MaxParity = 16
	// MaxBytes is the most bytes of a chunk: a packet of the largest payload with the headers of its chunk.
	MaxBytes = 1600

	// header is the length of a chunk that a shard begins with, in bytes, big endian. It is encoded as the chunk is, so that
	// the length of a missing chunk comes back with it.
	header = 2
)

// field multiplies in GF(2^8) with what the processor has for it.
var field reedsolomon.LowLevel

// factor is what the chunk in place j adds to parity shard i. The factors are those of a Cauchy matrix, 1/(x+y) with all x
// different from all y, every square part of which can be inverted: any shards of a block do, whatever the number of chunks
// and of parity shards is.
func factor(i, j int) byte { return reedsolomon.Inv(byte(MaxData+i) ^ byte(j)) }

// shard is a chunk with its length before it, or a parity shard.
type shard struct {
	b [header + MaxBytes]byte
	n int // bytes in use
}

func (s *shard) set(chunk []byte) {
	s.b[0], s.b[1] = byte(len(chunk)>>8), byte(len(chunk))
	s.n = header + copy(s.b[header:], chunk)
}

// chunk is the chunk in a shard that was made up for, false if it is none.
func (s *shard) chunk() ([]byte, bool) {
	n := int(s.b[0])<<8 | int(s.b[1])
	if n == 0 || n > s.n-header {
		return nil, false
	}
	return s.b[header : header+n], true
}

// add adds f times another shard, which must not be longer.
func (s *shard) add(f byte, other *shard) { field.GalMulSliceXor(f, other.b[:other.n], s.b[:s.n]) }

// scale multiplies by f.
func (s *shard) scale(f byte) { field.GalMulSlice(f, s.b[:s.n], s.b[:s.n]) }

// solve finds the chunks in the given places. Row r of rows is parity shard index[r] with all chunks that are there taken
// out of it; it becomes the chunk in places[r].
func solve(rows []*shard, index, places []int) {
	n := len(rows)
	var m [MaxParity][MaxParity]byte
	for r := range n {
		for c := range n {
			m[r][c] = factor(index[r], places[c])
		}
	}
	// Elimination without a choice of pivots: each leading part of a Cauchy matrix can be inverted, so none is 0.
	for p := range n {
		f := reedsolomon.Inv(m[p][p])
		field.GalMulSlice(f, m[p][:n], m[p][:n])
		rows[p].scale(f)
		for r := range n {
			if f := m[r][p]; r != p && f != 0 {
				field.GalMulSliceXor(f, m[p][:n], m[r][:n])
				rows[r].add(f, rows[p])
			}
		}
	}
}
