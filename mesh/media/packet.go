package media

// MaxPayload is the largest RTP payload, in bytes, that a track carries. A packet of 1,200 bytes leaves
// room for SRTP, the RTX header and QUIC inside the 1,280 byte minimum MTU of IPv6 (RFC 8200, section 5);
// publishers that use larger packets are accepted up to this bound, the payload of a full Ethernet frame.
const MaxPayload = 1460

// Flags are facts about a packet that are learnt once, where it is born.
type Flags uint8

const (
	// Key marks every packet of a keyframe.
	Key Flags = 1 << iota
	// First marks the first packet of a frame.
	First
	// Last marks the last packet of a frame (the RTP marker bit of video).
	Last
	// Described says that the payload begins with a dependency descriptor (AV1), as JoinDescriptor puts it there.
	Described
	// Ends marks the last packet of a level within its frame. It is told of VP9, and of AV1 with a dependency descriptor.
	Ends

	levelShift = 5 // the two bits above are the level
)

// MaxLevel is the highest level that a packet can have. AV1 has no more; what VP9 has above counts as the highest.
const MaxLevel = 3

// OfLevel returns fl with the level of the packet, at most MaxLevel: the spatial layer that it belongs to in a stream that
// has several (SVC). Each needs those below it. Other streams have level 0 alone.
func (fl Flags) OfLevel(level uint8) Flags {
	return fl&^(MaxLevel<<levelShift) | Flags(min(level, MaxLevel))<<levelShift
}

// Level is the level of the packet, 0 to MaxLevel.
func (fl Flags) Level() uint8 { return uint8(fl>>levelShift) & MaxLevel }

// Has reports whether all of f are set.
func (fl Flags) Has(f Flags) bool { return fl&f == f }

// Packet is one RTP packet on its way from an origin to an edge. All fields except Payload are given to it at birth and
// never rewritten; only the last hop makes RTP sequence numbers, timestamps and identifiers for one subscriber.
type Packet struct {
	// Layer is the simulcast layer the packet belongs to; 0 for audio.
	Layer Layer
	// Flags are what the origin learnt about the packet.
	Flags Flags
	// Source tells one run of a publisher from the next. When it changes, RTP timestamps start anew.
	Source uint32
	// Number counts the packets of one layer, across sources and restarts of the home. Consecutive packets of one
	// source differ by one; a hole is a packet that the origin never received.
	Number uint64
	// Frame counts the frames of one layer, across sources like Number.
	Frame uint64
	// Timestamp is the publisher's RTP timestamp, in units of the codec's clock.
	Timestamp uint32
	// Captured is when the media was captured by the publisher's clock if that is known, else when the packet
	// reached the origin, in microseconds since the Unix epoch.
	Captured int64
	// Payload is the RTP payload without header, extensions and padding, behind a dependency descriptor if it is Described.
	Payload []byte
}

// Clone copies p into dst and reuses the memory of dst.Payload.
func (p *Packet) Clone(dst *Packet) {
	buf := dst.Payload[:0]
	*dst = *p
	dst.Payload = append(buf, p.Payload...)
}
