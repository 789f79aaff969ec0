package wire

import "encoding/binary"

// Heartbeat says that a node is there, and lets both ends measure the way and the difference of their clocks.
type Heartbeat struct {
	// Sent is when the heartbeat was sent, in microseconds of the sender's clock.
	Sent int64
	// Echo is the Sent of the newest heartbeat that came the other way, 0 for none.
	Echo int64
	// Came is when that heartbeat arrived, in microseconds of the sender's clock.
	Came int64
	// Heard is how many heartbeats have come the other way on the link so far, each copy counted. It tells the peer what the
	// way there loses. Peers that do not know the field leave it out, which reads as 0.
	Heard uint64
}

// AppendHeartbeat appends a heartbeat to b.
func AppendHeartbeat(b []byte, h Heartbeat) []byte {
	b = append(b, KindHeartbeat)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Sent))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Echo))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Came))
	return binary.BigEndian.AppendUint64(b, h.Heard)
}

// ParseHeartbeat reads a heartbeat.
func ParseHeartbeat(b []byte) (Heartbeat, error) {
	c := cursor{b: b}
	if c.octet() != KindHeartbeat {
		c.fail("this is no heartbeat")
	}
	h := Heartbeat{Sent: int64(c.fixed64()), Echo: int64(c.fixed64()), Came: int64(c.fixed64())}
	if c.err == nil && len(c.b) > 0 {
		h.Heard = c.fixed64()
	}
	return h, c.err
}
