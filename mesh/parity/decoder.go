package parity

import (
	"math/bits"
	"sync"
)

// Blocks is how many blocks a Decoder keeps, the newest. At 64 chunks each and 200 Mbps that is 0.2 s, and parity follows
// its block within a tenth of that; smaller blocks are closed by their age and last longer.
const Blocks = 64

// Decoder gathers the shards of blocks, in any order, and gives the chunks that are missing. What comes twice, late or
// malformed does nothing. It holds at most Blocks blocks of MaxData+MaxParity shards, 8.2 MB; the oldest block goes when a
// new one needs its place. The zero Decoder is ready.
type Decoder struct {
	blocks  [Blocks]block
	fixed   []*shard // made up for and not taken yet
	dropped uint64
}

// block is what is there of a block. Number n lies in place n % Blocks.
type block struct {
	used   bool
	done   bool // all chunks are there, or none can be made up for; it holds no shards
	number uint32
	k      int    // chunks; 0 while no parity shard has come
	size   int    // of the parity shards
	have   uint64 // the places of the chunks that came
	data   [MaxData]*shard
	parity [MaxParity]*shard
	found  int // parity shards
}

var shards = sync.Pool{New: func() any { return new(shard) }}

// Data takes the chunk in one place of a block. It reports whether chunks were made up for, to be taken by Next.
func (d *Decoder) Data(number uint32, index uint8, chunk []byte) bool {
	b := d.find(number)
	if b == nil || b.done || index >= MaxData || len(chunk) == 0 || len(chunk) > MaxBytes || b.have&(1<<index) != 0 {
		return false
	}
	if b.k > 0 && (int(index) >= b.k || header+len(chunk) > b.size) {
		return false
	}
	s := shards.Get().(*shard)
	s.set(chunk)
	b.data[index] = s
	b.have |= 1 << index
	return d.solve(b)
}

// Parity takes parity shard i of a block of k chunks. It reports whether chunks were made up for, to be taken by Next.
func (d *Decoder) Parity(number uint32, k, index uint8, bytes []byte) bool {
	if k == 0 || k > MaxData || index >= MaxParity || len(bytes) <= header || len(bytes) > header+MaxBytes {
		return false
	}
	b := d.find(number)
	if b == nil || b.done || b.parity[index] != nil || b.k > 0 && (b.k != int(k) || b.size != len(bytes)) {
		return false
	}
	if b.k == 0 {
		for j, s := range b.data {
			if s != nil && (j >= int(k) || s.n > len(bytes)) {
				return false // it belongs to another block
			}
		}
		b.k, b.size = int(k), len(bytes)
	}
	s := shards.Get().(*shard)
	s.n = copy(s.b[:], bytes)
	b.parity[index] = s
	b.found++
	return d.solve(b)
}

// Next copies the next chunk that was made up for into dst, MaxBytes at most, and returns its length. It returns false when
// there is none.
func (d *Decoder) Next(dst []byte) (n int, ok bool) {
	if len(d.fixed) == 0 {
		return 0, false
	}
	s := d.fixed[len(d.fixed)-1]
	d.fixed = d.fixed[:len(d.fixed)-1]
	chunk, _ := s.chunk()
	n = copy(dst, chunk)
	shards.Put(s)
	return n, true
}

// Dropped counts the blocks that had to go while chunks were known to be missing.
func (d *Decoder) Dropped() uint64 { return d.dropped }

// find returns a block, which may be new, or nil if it is too old.
func (d *Decoder) find(number uint32) *block {
	b := &d.blocks[number%Blocks]
	if b.used && b.number == number {
		return b
	}
	if b.used && int32(number-b.number) < 0 {
		return nil
	}
	if b.used && !b.done && b.k > 0 {
		d.dropped++
	}
	b.free()
	*b = block{used: true, number: number}
	return b
}

// free gives back the shards.
func (b *block) free() {
	for j, s := range b.data {
		if s != nil {
			shards.Put(s)
			b.data[j] = nil
		}
	}
	for i, s := range b.parity {
		if s != nil {
			shards.Put(s)
			b.parity[i] = nil
		}
	}
}

// solve makes up for the missing chunks of a block if there are shards enough.
func (d *Decoder) solve(b *block) bool {
	if b.k == 0 {
		return false
	}
	missing := b.k - bits.OnesCount64(b.have)
	if missing > b.found {
		return false
	}
	made := 0
	if missing > 0 {
		made = d.fix(b, missing)
	}
	b.done = true
	b.free()
	return made > 0
}

// fix makes up for so many missing chunks, and returns how many were ones.
func (d *Decoder) fix(b *block, missing int) (made int) {
	var rows [MaxParity]*shard
	var index, places [MaxParity]int
	n := 0
	for i, s := range b.parity {
		if s != nil && n < missing {
			rows[n], index[n] = s, i
			b.parity[i] = nil
			n++
		}
	}
	n = 0
	for j := range b.k {
		if b.data[j] == nil {
			places[n] = j
			n++
			continue
		}
		for r := range missing {
			rows[r].add(factor(index[r], j), b.data[j])
		}
	}
	solve(rows[:missing], index[:missing], places[:missing])
	for _, s := range rows[:missing] {
		if _, ok := s.chunk(); ok {
			d.fixed = append(d.fixed, s)
			made++
		} else {
			shards.Put(s)
		}
	}
	return made
}
