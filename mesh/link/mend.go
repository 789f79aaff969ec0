package link

import (
	"sync"

	"lyceum/mesh/parity"
	"lyceum/mesh/wire"
)

// mender makes up for chunks that a parent protects and the way has lost. A chunk that comes after all is a duplicate.
type mender struct {
	mu sync.Mutex
	// Guarded by mu.
	decoder *parity.Decoder // nil before the first shard
	dropped uint64          // blocks, as the metrics know them
}

// shard takes a chunk in its place of a block.
func (u *upLink) shard(block uint32, index uint8, chunk []byte) error {
	u.mender.mu.Lock()
	d := u.mender.readyLocked()
	made := d.Data(block, index, chunk)
	return u.mendLocked(d, made)
}

// parity takes a parity shard.
func (u *upLink) parity(p *wire.Parity) error {
	u.links.metrics.parityReceived.Inc()
	u.mender.mu.Lock()
	d := u.mender.readyLocked()
	made := d.Parity(p.Block, p.Chunks, p.Index, p.Bytes)
	return u.mendLocked(d, made)
}

func (m *mender) readyLocked() *parity.Decoder {
	if m.decoder == nil {
		m.decoder = new(parity.Decoder)
	}
	return m.decoder
}

// mendLocked gives the chunks that were made up for to their tracks. It releases the lock.
func (u *upLink) mendLocked(d *parity.Decoder, made bool) error {
	m := u.links.metrics
	if n := d.Dropped(); n != u.mender.dropped {
		m.blocksDropped.Add(float64(n - u.mender.dropped))
		u.mender.dropped = n
	}
	if !made {
		u.mender.mu.Unlock()
		return nil
	}
	var list [parity.MaxParity]*buffer
	n := 0
	for ; n < len(list); n++ {
		b := buffers.Get().(*buffer)
		var ok bool
		if b.n, ok = d.Next(b.b[:]); !ok {
			buffers.Put(b)
			break
		}
		list[n] = b
	}
	u.mender.mu.Unlock()
	var err error
	for _, b := range list[:n] {
		kept, wrong := u.chunk(b.b[:b.n], b, true)
		if !kept {
			buffers.Put(b)
		}
		if wrong != nil {
			err = wrong
		}
	}
	m.repaired.Add(float64(n))
	return err
}
