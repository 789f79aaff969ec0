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
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
)

// bareProtocol is the ALPN of what a link is compared with: one QUIC connection, a stream for each track, packets one
// after the other with their length, number and frame before them. A frame is written at once.
const bareProtocol = "lyceum-bare/1"

const bareHeader = 2 + 8 + 8 + 8 // length, number, frame, capture time

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
	o.frame = binary.BigEndian.AppendUint64(o.frame, p.Number)
	o.frame = binary.BigEndian.AppendUint64(o.frame, p.Frame)
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

// bareListen waits for the other end and opens a stream for each feed.
func bareListen(ctx context.Context, conn net.PacketConn, id *pki.Identity, feeds []*feed) (outlets []outlet, end func(), err error) {
	l, err := quic.Listen(conn, id.ServerTLS(bareProtocol), bareConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("listen for a bare connection: %w", err)
	}
	c, err := l.Accept(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("accept a bare connection: %w", err), l.Close())
	}
	for range feeds {
		s, err := c.OpenUniStream()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("open a bare stream: %w", err), l.Close())
		}
		outlets = append(outlets, &bareOutlet{stream: s})
	}
	return outlets, func() { _, _ = c.CloseWithError(0, "done"), l.Close() }, nil
}

// bareRead counts the packets of all streams until ctx is done or the other end closes.
func bareRead(ctx context.Context, conn net.PacketConn, id *pki.Identity, to string, count *atomic.Int64) error {
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
		reading.Go(func() {
			r := bufio.NewReaderSize(s, 64<<10)
			var head [bareHeader]byte
			body := make([]byte, media.MaxPayload)
			for {
				if _, err := io.ReadFull(r, head[:]); err != nil {
					return
				}
				n := int(binary.BigEndian.Uint16(head[:]))
				if n > len(body) {
					return
				}
				if _, err := io.ReadFull(r, body[:n]); err != nil {
					return
				}
				count.Add(1)
			}
		})
	}
}
