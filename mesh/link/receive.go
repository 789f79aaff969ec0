package link

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/wire"
)

const (
	// openChunks bounds the chunks of a link that are being received at one time. Each holds a buffer; a parent whose
	// way loses packets has some hundred open.
	openChunks = 2048
	// chunkTimeout is how long a chunk may take to arrive, much longer than its sender tries.
	chunkTimeout = 10 * time.Second
	// receiverIdle is how long a receiver waits for its next chunk before it ends.
	receiverIdle = 5 * time.Second
)

// buffer holds a chunk that is being received.
type buffer struct {
	b [wire.MaxChunk]byte
	n int
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// acceptChunks gives the chunks of one stripe to receivers.
func (u *upLink) acceptChunks(conn *quic.Conn) {
	for {
		stream, err := conn.AcceptUniStream(u.ctx)
		if err != nil {
			return
		}
		select {
		case u.slots <- struct{}{}:
		case <-u.ctx.Done():
			return
		}
		select {
		case u.arrivals <- stream:
		default:
			u.tasks.Go(func() { u.receiveChunks(stream) })
		}
	}
}

// receiveChunks receives one chunk after the other. There are as many receivers as chunks came at one time lately.
func (u *upLink) receiveChunks(stream *quic.ReceiveStream) {
	idle := time.NewTimer(receiverIdle)
	defer idle.Stop()
	for {
		err := u.receiveChunk(stream)
		<-u.slots
		if err != nil {
			u.end(err)
			return
		}
		idle.Reset(receiverIdle)
		select {
		case stream = <-u.arrivals:
		case <-idle.C:
			return
		case <-u.ctx.Done():
			return
		}
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
	if !whole {
		stream.CancelRead(0) // it was late, cancelled, or the link ends
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
