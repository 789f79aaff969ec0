package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/wire"
)

const (
	// openChunks bounds the chunks of a link that are being received at one time, with the receivers that wait for one. Each
	// chunk holds a buffer; a parent whose way loses packets has some hundred open.
	openChunks = 2048
	// chunkTimeout is how long a chunk may take to arrive, much longer than its sender tries.
	chunkTimeout = 10 * time.Second
	// chunkPatience is how long a receiver waits for the end of a chunk before it begins to read: one that waits is not woken
	// for each packet of the chunk. What has been read of a chunk is used even if the sender takes the rest back.
	chunkPatience = 20 * time.Millisecond
	// readyReceivers is how many receivers of a stripe stay when there are fewer chunks than receivers.
	readyReceivers = 4
	// creditBatch is how many chunks a stripe has received before their sender is told that it may send as many more. QUIC
	// would tell it after each, in a packet that wants an acknowledgement.
	creditBatch = 64
)

// buffer holds a chunk that is being received.
type buffer struct {
	b [wire.MaxChunk]byte
	n int
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// door is where the chunks of one stripe come in.
type door struct {
	// Set by acceptChunks, never changed.
	conn *quic.Conn

	waiting atomic.Int32 // receivers

	mu sync.Mutex
	// Guarded by mu.
	done []*quic.ReceiveStream // whose place was not given back yet
}

// leave gives the places of chunks that were received back to the sender, many at once.
func (d *door) leave(stream *quic.ReceiveStream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done = append(d.done, stream); len(d.done) < creditBatch {
		return
	}
	for _, s := range d.done {
		s.ReleaseStreamCredit()
	}
	clear(d.done)
	d.done = d.done[:0]
}

// acceptChunks receives the chunks of one stripe.
func (u *upLink) acceptChunks(conn *quic.Conn) {
	d := &door{conn: conn}
	d.waiting.Add(1)
	u.receiveChunks(d)
}

// receiveChunks takes one chunk after the other from a stripe. Whoever takes one while nobody else waits starts another
// receiver, so that no chunk waits for the end of another.
func (u *upLink) receiveChunks(d *door) {
	r := receiver{ends: make(chan struct{}, 1), patience: time.NewTimer(time.Hour)}
	defer r.patience.Stop()
	tell := func(int64) { poke(r.ends) }
	for {
		select {
		case u.slots <- struct{}{}:
		case <-u.ctx.Done():
			return
		}
		stream, err := d.conn.AcceptUniStream(u.ctx)
		if err != nil {
			<-u.slots
			return
		}
		if d.waiting.Add(-1) == 0 {
			d.waiting.Add(1)
			u.tasks.Go(func() { u.receiveChunks(d) })
		}
		r.await(d.conn, stream, tell)
		err = u.receiveChunk(stream)
		<-u.slots
		if err != nil {
			u.end(err)
			return
		}
		d.leave(stream)
		if d.waiting.Add(1) > readyReceivers {
			d.waiting.Add(-1)
			return
		}
	}
}

// receiver is what one receiver uses again for each chunk.
type receiver struct {
	ends     chan struct{} // poked when QUIC has learnt where the chunk ends
	patience *time.Timer
}

// await waits until most of a chunk is there: its end is, or chunkPatience is over.
func (r *receiver) await(conn *quic.Conn, stream *quic.ReceiveStream, tell func(int64)) {
	select {
	case <-r.ends: // of the chunk before
	default:
	}
	stream.SetReceiveFinalSizeCallback(tell)
	select {
	case <-r.ends:
		return
	default:
	}
	r.patience.Reset(chunkPatience)
	select {
	case <-r.ends:
	case <-r.patience.C:
	case <-conn.Context().Done():
	}
}

// receiveChunk reads a chunk to its end. What arrived before a cancellation is used.
func (u *upLink) receiveChunk(stream *quic.ReceiveStream) error {
	b := buffers.Get().(*buffer)
	b.n = 0
	_ = stream.SetReadDeadline(time.Now().Add(chunkTimeout))
	var err error
	for err == nil && b.n < len(b.b) {
		var n int
		n, err = stream.Read(b.b[b.n:])
		b.n += n
		if n > 0 {
			u.hear()
		}
	}
	if err == nil && b.b[0] != wire.KindChunk {
		stream.CancelRead(0) // something longer, of a kind that is newer than this node
		buffers.Put(b)
		return nil
	}
	if err == nil {
		// A chunk of the largest size ends exactly here.
		var more [1]byte
		if n, end := stream.Read(more[:]); n > 0 || end != io.EOF {
			stream.CancelRead(0)
			buffers.Put(b)
			return fmt.Errorf("%w: a chunk is too long", wire.ErrMalformed)
		}
	}
	whole := err == nil || err == io.EOF
	if whole {
		u.endless.Store(0)
	} else {
		stream.CancelRead(0) // it was late, cancelled, or the link ends
		if errors.Is(err, os.ErrDeadlineExceeded) && u.endless.Add(1) > maxEndless {
			buffers.Put(b)
			return errEndless
		}
	}
	kept, err := u.take(b.b[:b.n], b, whole)
	if !kept {
		buffers.Put(b)
	}
	return err
}

// receiveDatagrams takes the datagrams of one stripe. QUIC drops all beyond 128 that wait, so nothing here blocks.
func (u *upLink) receiveDatagrams(conn *quic.Conn) {
	for {
		b, err := conn.ReceiveDatagram(u.ctx)
		if err != nil {
			return
		}
		u.hear()
		switch {
		case len(b) == 0:
		case b[0] == wire.KindHeartbeat:
			var h wire.Heartbeat
			if h, err = wire.ParseHeartbeat(b); err == nil {
				u.heartbeat(h)
			}
		case b[0] == wire.KindChunk:
			_, err = u.take(b, nil, true)
		}
		if err != nil {
			u.end(err)
			return
		}
	}
}

// take gives the packets of a chunk to their track. A chunk in a buffer may be kept until the state that explains it
// comes. Only a whole chunk that is malformed is an error.
func (u *upLink) take(data []byte, b *buffer, whole bool) (kept bool, err error) {
	u.links.metrics.received.bytes.Add(float64(len(data)))
	if len(data) == 0 {
		return u.chunk(data, b, whole)
	}
	switch data[0] {
	case wire.KindChunk:
		return u.chunk(data, b, whole)
	case wire.KindShard:
		block, index, chunk, err := wire.ParseShard(data)
		if err == nil && whole {
			err = u.shard(block, index, chunk)
		}
		if err != nil {
			return false, u.broken(err, whole)
		}
		return u.chunk(chunk, b, whole)
	case wire.KindParity:
		p, err := wire.ParseParity(data)
		if err != nil || !whole {
			return false, u.broken(err, whole)
		}
		return false, u.parity(&p)
	}
	return false, nil // of a kind that is newer than this node
}

// broken counts what cannot be used. It is an error only if it came whole.
func (u *upLink) broken(err error, whole bool) error {
	u.links.metrics.dropBroken.Inc()
	if whole {
		return err
	}
	return nil
}

// chunk gives the packets of a chunk to their track, as take does.
func (u *upLink) chunk(data []byte, b *buffer, whole bool) (kept bool, err error) {
	m := u.links.metrics
	c, err := wire.ParseChunk(data)
	if err != nil {
		return false, u.broken(err, whole)
	}
	u.tableMu.RLock()
	in := u.subs[c.Sub]
	u.tableMu.RUnlock()
	if in == nil {
		m.dropUnknown.Inc()
		return false, nil
	}
	return in.take(&c, b, whole)
}
