package parity

// Encoder gathers chunks in a block. The zero Encoder begins with block 0. It keeps 104 KB.
type Encoder struct {
	block   uint32
	n       int
	longest int
	data    [MaxData]shard
	parity  shard
}

// Place tells where the next chunk goes: the block's number and the place in it.
func (e *Encoder) Place() (block uint32, index uint8) { return e.block, uint8(e.n) }

// Len is the number of chunks in the block.
func (e *Encoder) Len() int { return e.n }

// Full reports whether the block must be closed before another chunk.
func (e *Encoder) Full() bool { return e.n == MaxData }

// Add copies a chunk of 1 to MaxBytes bytes into its Place. The block must not be Full.
func (e *Encoder) Add(chunk []byte) {
	s := &e.data[e.n]
	s.set(chunk)
	e.longest = max(e.longest, s.n)
	e.n++
}

// Parity makes parity shard i of the block, 0 to MaxParity-1. It is good until the next call.
func (e *Encoder) Parity(i int) []byte {
	p := &e.parity
	p.n = e.longest
	clear(p.b[:p.n])
	for j := range e.n {
		p.add(factor(i, j), &e.data[j])
	}
	return p.b[:p.n]
}

// Close begins the next block.
func (e *Encoder) Close() {
	e.block++
	e.n, e.longest = 0, 0
}
