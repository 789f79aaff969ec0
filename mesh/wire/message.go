package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Message is one message on the control stream of a link.
type Message interface {
	kind() uint64
	appendBody(b []byte) []byte
	parseBody(c *cursor)
}

// The kinds of messages. A number is never used again for another meaning.
const (
	kindHello = 1 + iota
	kindWelcome
	kindSubscribe
	kindAccepted
	kindRefused
	kindUpdate
	kindUnsubscribe
	kindKeyframe
	kindReport
	kindState
	kindGoAway
	kindStripes
)

func newMessage(kind uint64) Message {
	switch kind {
	case kindHello:
		return new(Hello)
	case kindWelcome:
		return new(Welcome)
	case kindSubscribe:
		return new(Subscribe)
	case kindAccepted:
		return new(Accepted)
	case kindRefused:
		return new(Refused)
	case kindUpdate:
		return new(Update)
	case kindUnsubscribe:
		return new(Unsubscribe)
	case kindKeyframe:
		return new(Keyframe)
	case kindReport:
		return new(Report)
	case kindState:
		return new(State)
	case kindGoAway:
		return new(GoAway)
	case kindStripes:
		return new(Stripes)
	}
	return nil
}

// AppendMessage appends a message to b: its kind, the length of its body, its body.
func AppendMessage(b []byte, m Message) []byte {
	b = binary.AppendUvarint(b, m.kind())
	return appendBlock(b, m.appendBody(make([]byte, 0, 128)))
}

// Reader reads messages from a control stream.
type Reader struct {
	r    *bufio.Reader
	body []byte
}

// NewReader makes a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReader(r)} }

// Next reads the next message of a kind that is known; others are skipped. It returns io.EOF when the stream ended
// between two messages, and an error that is ErrMalformed when the peer does not keep to the protocol.
func (r *Reader) Next() (Message, error) {
	for {
		kind, err := r.uvarint()
		if err != nil {
			return nil, err
		}
		size, err := r.uvarint()
		if err != nil {
			return nil, unexpected(err)
		}
		if size > MaxMessage {
			return nil, malformed("a message of kind %d has %d bytes", kind, size)
		}
		if uint64(cap(r.body)) < size {
			r.body = make([]byte, size)
		}
		body := r.body[:size]
		if _, err := io.ReadFull(r.r, body); err != nil {
			return nil, unexpected(err)
		}
		m, err := parseMessage(kind, body)
		if m != nil || err != nil {
			return m, err
		}
	}
}

// uvarint reads a number. It returns io.EOF only before the first byte.
func (r *Reader) uvarint() (uint64, error) {
	var b [binary.MaxVarintLen64]byte
	for i := range b {
		octet, err := r.r.ReadByte()
		if err != nil && i > 0 {
			err = unexpected(err)
		}
		if err != nil {
			return 0, err
		}
		if b[i] = octet; octet >= 0x80 {
			continue
		}
		if v, n := binary.Uvarint(b[:i+1]); n > 0 {
			return v, nil
		}
		break
	}
	return 0, malformed("a number is too large")
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseMessage returns nil for a kind that is not known.
func parseMessage(kind uint64, body []byte) (Message, error) {
	m := newMessage(kind)
	if m == nil {
		return nil, nil
	}
	c := cursor{b: body}
	m.parseBody(&c)
	if c.err != nil {
		return nil, fmt.Errorf("message %T: %w", m, c.err)
	}
	return m, nil
}
