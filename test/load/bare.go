package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
)

// bareProtocol is the ALPN of what a link is compared with: one QUIC connection, a stream for each track, which begins with
// the place of the track among the feeds; then packets one after the other, each behind a header. A frame is written at
// once.
const bareProtocol = "lyceum-bare/1"

const bareHeader = 2 + 1 + 8 + 8 + 4 + 8 // length, flags, number, frame, timestamp, capture time

// bareWindow is large enough that flow control never matters.
const bareWindow = 16 << 20

func bareConfig() *quic.Config {
	return &quic.Config{
		MaxIncomingUniStreams: 4096, InitialStreamReceiveWindow: bareWindow, MaxStreamReceiveWindow: bareWindow,
		InitialConnectionReceiveWindow: bareWindow, MaxConnectionReceiveWindow: bareWindow,
	}
}

// bareOutlet writes a track into a stream.
type bareOutlet struct {
	stream *quic.SendStream
	frame  []byte
}

// Write gathers the packets of a frame and writes it when it is whole.
func (o *bareOutlet) Write(p *media.Packet) bool {
	o.frame = binary.BigEndian.AppendUint16(o.frame, uint16(len(p.Payload)))
	o.frame = append(o.frame, byte(p.Flags))
	o.frame = binary.BigEndian.AppendUint64(o.frame, p.Number)
	o.frame = binary.BigEndian.AppendUint64(o.frame, p.Frame)
	o.frame = binary.BigEndian.AppendUint32(o.frame, p.Timestamp)
	o.frame = binary.BigEndian.AppendUint64(o.frame, uint64(p.Captured))
	o.frame = append(o.frame, p.Payload...)
	if !p.Flags.Has(media.Last) {
		return true
	}
	_, err := o.stream.Write(o.frame)
	o.frame = o.frame[:0]
	return err == nil
}

// TakeDemand says that nobody asks for anything.
func (o *bareOutlet) TakeDemand() relay.Demand { return relay.Demand{} }

// bareAccept waits for the other end and opens a stream for each of n tracks.
func bareAccept(ctx context.Context, conn net.PacketConn, id *pki.Identity, n int) (outlets []*bareOutlet, end func(), err error) {
	l, err := quic.Listen(conn, id.ServerTLS(bareProtocol), bareConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("listen for a bare connection: %w", err)
	}
	c, err := l.Accept(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("accept a bare connection: %w", err), l.Close())
	}
	for i := range n {
		s, err := c.OpenUniStream()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("open a bare stream: %w", err), l.Close())
		}
		outlets = append(outlets, &bareOutlet{stream: s, frame: []byte{byte(i)}})
	}
	return outlets, func() { _, _ = c.CloseWithError(0, "done"), l.Close() }, nil
}

// bareSend reads tracks as the lanes of a link do and writes each into its stream, until ctx is done.
func bareSend(ctx context.Context, tracks []*relay.Track, outlets []*bareOutlet) {
	var sending sync.WaitGroup
	for i, t := range tracks {
		sending.Go(func() {
			read(ctx, t, media.LayersOf(0), func(p *media.Packet) { outlets[i].Write(p) })
		})
	}
	sending.Wait()
}

// bareRead gives the packets of all streams to take, which is called by one goroutine for each track, until ctx is done or
// the other end closes.
func bareRead(ctx context.Context, conn net.PacketConn, id *pki.Identity, to string, take func(track int, p *media.Packet)) error {
	addr, err := net.ResolveUDPAddr("udp4", to)
	if err != nil {
		return fmt.Errorf("find the other end: %w", err)
	}
	c, err := quic.Dial(ctx, conn, addr, id.ClientTLS(parentID, bareProtocol), bareConfig())
	if err != nil {
		return fmt.Errorf("dial %s: %w", to, err)
	}
	defer context.AfterFunc(ctx, func() { _ = c.CloseWithError(0, "done") })()
	var reading sync.WaitGroup
	defer reading.Wait()
	for {
		s, err := c.AcceptUniStream(ctx)
		if err != nil {
			return nil // it ends
		}
		reading.Go(func() { bareTake(bufio.NewReaderSize(s, 64<<10), take) })
	}
}

// bareTake reads one stream to its end.
func bareTake(r *bufio.Reader, take func(track int, p *media.Packet)) {
	track, err := r.ReadByte()
	if err != nil {
		return
	}
	var head [bareHeader]byte
	body := make([]byte, media.MaxPayload)
	p := media.Packet{Source: 1}
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		p.Flags = media.Flags(head[2])
		p.Number = binary.BigEndian.Uint64(head[3:])
		p.Frame = binary.BigEndian.Uint64(head[11:])
		p.Timestamp = binary.BigEndian.Uint32(head[19:])
		p.Captured = int64(binary.BigEndian.Uint64(head[23:]))
		if n > len(body) {
			return
		}
		p.Payload = body[:n]
		if _, err := io.ReadFull(r, p.Payload); err != nil {
			return
		}
		take(int(track), &p)
	}
}
