package edge

import (
	"io"

	"github.com/pion/transport/v5/packetio"
	"github.com/prometheus/client_golang/prometheus"
)

// What a subscriber may make the node remember until its connection ends. A player opens one data channel at most, of which
// nothing is read here, sends no media, and names in its feedback the streams that it gets. The peer connection itself keeps
// a buffer of up to 1 MB for each source that it hears of, and one of 64 KiB for each data channel.
const (
	maxChannels   = 4
	maxSources    = 64 // of media and of feedback together
	channelInbox  = 16 << 10
	mediaInbox    = 4 << 10
	feedbackInbox = 64 << 10
)

// inbox holds what a subscriber sent about one source until it is read. What comes to a full inbox is dropped and counted:
// feedback is repeated.
type inbox struct {
	*packetio.Buffer
	dropped prometheus.Counter
	glance  func([]byte) // sees each packet as it comes; may be nil
}

// Read takes a packet out.
func (i inbox) Read(p []byte) (int, error) {
	n, _, err := i.Buffer.Read(p, nil)
	return n, err
}

// Write puts a packet in.
func (i inbox) Write(p []byte) (int, error) {
	if i.glance != nil {
		i.glance(p)
	}
	n, err := i.Buffer.Write(p, nil)
	if err != nil {
		i.dropped.Inc()
	}
	return n, err
}

// newInbox is called for each source that a subscriber is the first to name.
func (s *Subscriber) newInbox(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	if s.sources.Add(1) > maxSources {
		s.Close(ErrExcess)
	}
	b := packetio.NewBuffer()
	b.SetLimitSize(feedbackInbox)
	if kind == packetio.RTPBufferPacket {
		b.SetLimitSize(mediaInbox)
		return inbox{b, s.edge.metrics.overflow, nil}
	}
	return inbox{b, s.edge.metrics.overflow, s.glance}
}

// glance looks for reports of arrivals in what the connection has opened. They name any one of the streams that they are
// about, often that of repair, from which nobody reads.
func (s *Subscriber) glance(compound []byte) {
	if s.listening.Load() {
		s.parse(compound, s.edge.now(), nil)
	}
}

// newChannel is called for each data channel that a subscriber opens.
func (s *Subscriber) newChannel() {
	if s.channels.Add(1) > maxChannels {
		s.Close(ErrExcess)
	}
}
