package parity

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// coded is a block as it goes over the way.
type coded struct {
	number uint32
	chunks [][]byte
	parity [][]byte
}

func encode(e *Encoder, rng *rand.Rand, k, m, size int) coded {
	c := coded{}
	c.number, _ = e.Place()
	for range k {
		b := make([]byte, 1+rng.IntN(size))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		c.chunks = append(c.chunks, b)
		e.Add(b)
	}
	for i := range m {
		c.parity = append(c.parity, bytes.Clone(e.Parity(i)))
	}
	e.Close()
	return c
}

// give hands shard i of a block to a decoder: first come the chunks, then the parity.
func (c *coded) give(d *Decoder, i int) bool {
	if i < len(c.chunks) {
		return d.Data(c.number, uint8(i), c.chunks[i])
	}
	i -= len(c.chunks)
	return d.Parity(c.number, uint8(len(c.chunks)), uint8(i), c.parity[i])
}

func drain(d *Decoder) (list [][]byte) {
	for {
		b := make([]byte, MaxBytes)
		n, ok := d.Next(b)
		if !ok {
			return list
		}
		list = append(list, b[:n])
	}
}

func TestAnyShardsGiveTheMissingChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var e Encoder
	var d Decoder
	for round := range 3000 {
		k, m := 1+rng.IntN(MaxData), 1+rng.IntN(MaxParity)
		c := encode(&e, rng, k, m, 1+rng.IntN(MaxBytes))
		order := rng.Perm(k + m)[:k] // the rest is lost
		missing := map[string]bool{}
		for i := range k {
			missing[string(c.chunks[i])] = true
		}
		for _, i := range order {
			if i < k {
				delete(missing, string(c.chunks[i]))
			}
		}
		for n, i := range order {
			if made := c.give(&d, i); made != (n == k-1 && len(missing) > 0) {
				t.Fatalf("round %d: %d of %d shards made up for chunks: %v", round, n+1, k, made)
			}
			c.give(&d, i) // once more
		}
		for _, b := range drain(&d) {
			if !missing[string(b)] {
				t.Fatalf("round %d, %d+%d: a chunk that was not missing, or not encoded", round, k, m)
			}
			delete(missing, string(b))
		}
		if len(missing) > 0 {
			t.Fatalf("round %d, %d+%d: %d chunks did not come back", round, k, m, len(missing))
		}
	}
	if d.Dropped() != 0 {
		t.Errorf("%d blocks were dropped", d.Dropped())
	}
}

func TestFewerShardsGiveNothing(t *testing.T) {
	var e Encoder
	var d Decoder
	rng := rand.New(rand.NewPCG(1, 2))
	c := encode(&e, rng, 10, 2, 1000)
	for i := 3; i < 12; i++ {
		if c.give(&d, i) {
			t.Fatal("three of ten are missing, and two parity shards made up for some")
		}
	}
	for range Blocks { // newer ones need its place
		next := encode(&e, rng, 2, 1, 1000)
		next.give(&d, 0)
	}
	if d.Dropped() != 1 {
		t.Errorf("%d blocks were dropped", d.Dropped())
	}
	if c.give(&d, 0) || c.give(&d, 1) {
		t.Error("a block that is too old came back")
	}
}

func TestMalformedShardsDoNothing(t *testing.T) {
	var e Encoder
	c := encode(&e, rand.New(rand.NewPCG(1, 2)), 4, 2, 1000)
	long := make([]byte, MaxBytes+header+1)
	for name, try := range map[string]func(d *Decoder) bool{
		"no chunks":         func(d *Decoder) bool { return d.Parity(0, 0, 0, c.parity[0]) },
		"too many chunks":   func(d *Decoder) bool { return d.Parity(0, MaxData+1, 0, c.parity[0]) },
		"too much parity":   func(d *Decoder) bool { return d.Parity(0, 4, MaxParity, c.parity[0]) },
		"empty parity":      func(d *Decoder) bool { return d.Parity(0, 4, 0, long[:header]) },
		"long parity":       func(d *Decoder) bool { return d.Parity(0, 4, 0, long) },
		"another size":      func(d *Decoder) bool { return d.Parity(0, 4, 1, c.parity[1][:3]) },
		"another count":     func(d *Decoder) bool { return d.Parity(0, 3, 1, c.parity[1]) },
		"an empty chunk":    func(d *Decoder) bool { return d.Data(0, 1, nil) },
		"a long chunk":      func(d *Decoder) bool { return d.Data(0, 1, long[:MaxBytes+1]) },
		"longer than all":   func(d *Decoder) bool { return d.Data(0, 1, long[:len(c.parity[0])]) },
		"behind the last":   func(d *Decoder) bool { return d.Data(0, 4, c.chunks[0]) },
		"far behind":        func(d *Decoder) bool { return d.Data(0, MaxData, c.chunks[0]) },
		"a place twice":     func(d *Decoder) bool { return d.Data(0, 0, c.chunks[1]) },
		"half a round back": func(d *Decoder) bool { return d.Data(1<<31, 0, c.chunks[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			c.give(&d, 0)
			c.give(&d, 4)
			if try(&d) || try(&d) {
				t.Error("it made up for something")
			}
			c.give(&d, 2)
			if !c.give(&d, 5) {
				t.Fatal("the block did not come back")
			}
			for _, b := range drain(&d) {
				if !bytes.Equal(b, c.chunks[1]) && !bytes.Equal(b, c.chunks[3]) {
					t.Error("a chunk came back that was not encoded")
				}
			}
		})
	}
}

func TestDecoderHoldsNoMoreThanItsBlocks(t *testing.T) {
	var d Decoder
	for n := range uint32(10_000) {
		for i := range uint8(MaxData) {
			d.Data(n, i, []byte{1})
		}
	}
	held := 0
	for i := range d.blocks {
		for _, s := range d.blocks[i].data {
			if s != nil {
				held++
			}
		}
	}
	if held != Blocks*MaxData {
		t.Errorf("%d shards are held", held)
	}
}

func TestNeed(t *testing.T) {
	for _, row := range []struct {
		k           int
		loss, burst float64
		want        int
	}{
		{10, .0001, 1, 1},
		{10, .001, 1, 1},
		{10, .01, 1, 2},
		{10, .02, 1, 3},
		{64, .01, 1, 4},
		{10, .01, 3, 11},
		{64, .5, 1, MaxParity},
		{1, 0, 0, 1},
	} {
		if m := Need(row.k, row.loss, row.burst); m != row.want {
			t.Errorf("%d chunks, loss %v in bursts of %v: %d, want %d", row.k, row.loss, row.burst, m, row.want)
		}
	}
}

// FuzzDecoder loses, repeats, mixes and forges shards. What comes back of a block that nothing was forged for must have been
// encoded.
func FuzzDecoder(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 200, 7, 3})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var e Encoder
		var d Decoder
		var blocks []coded
		known := map[string]bool{}
		for range 3 {
			c := encode(&e, rng, 1+rng.IntN(MaxData), 1+rng.IntN(MaxParity), 64)
			for _, b := range c.chunks {
				known[string(b)] = true
			}
			blocks = append(blocks, c)
		}
		check := func() {
			for _, b := range drain(&d) {
				if !known[string(b)] {
					t.Fatal("a chunk came back that was not encoded")
				}
			}
		}
		for len(script) >= 2 {
			c := &blocks[int(script[0])%len(blocks)]
			c.give(&d, int(script[1])%(len(c.chunks)+len(c.parity)))
			script = script[2:]
			check()
		}
		var hostile Decoder
		for range 500 { // and one that gets only what is forged
			b := make([]byte, rng.IntN(40))
			if rng.IntN(2) == 0 {
				hostile.Data(rng.Uint32N(200), uint8(rng.Uint32N(70)), b)
			} else {
				hostile.Parity(rng.Uint32N(200), uint8(rng.Uint32N(70)), uint8(rng.Uint32N(20)), b)
			}
			drain(&hostile)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	var e Encoder
	var d Decoder
	chunk, dst := make([]byte, 1200), make([]byte, MaxBytes)
	block := func() {
		for range 10 {
			n, i := e.Place()
			e.Add(chunk)
			if i != 3 {
				d.Data(n, i, chunk)
			}
		}
		n, _ := e.Place()
		for i := range 2 {
			d.Parity(n, 10, uint8(i), e.Parity(i))
		}
		e.Close()
		if _, ok := d.Next(dst); !ok {
			t.Fatal("nothing came back")
		}
	}
	for range 2 * Blocks {
		block()
	}
	if n := testing.AllocsPerRun(500, block); n >= 1 {
		t.Errorf("%v allocations for a block", n)
	}
}

func BenchmarkEncoder(b *testing.B) {
	for _, m := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("10+%d", m), func(b *testing.B) {
			var e Encoder
			chunk := make([]byte, 1200)
			b.ReportAllocs()
			for b.Loop() {
				for range 10 {
					e.Add(chunk)
				}
				for i := range m {
					e.Parity(i)
				}
				e.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/packet")
		})
	}
}

func BenchmarkDecoder(b *testing.B) {
	for _, lost := range []int{0, 1, 2} {
		b.Run(fmt.Sprintf("10+2,lost %d", lost), func(b *testing.B) {
			var e Encoder
			var d Decoder
			c := encode(&e, rand.New(rand.NewPCG(1, 2)), 10, 2, 1200)
			dst := make([]byte, MaxBytes)
			b.ReportAllocs()
			for b.Loop() {
				c.number++
				for i := lost; i < 12; i++ {
					c.give(&d, i)
				}
				for ok := true; ok; {
					_, ok = d.Next(dst)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/packet")
		})
	}
}
