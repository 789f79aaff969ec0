package wire

import (
	"encoding/binary"
	"math"

	"lyceum/mesh/media"
)

// TrackState is what a parent knows of a track besides its packets.
type TrackState struct {
	// Known is false while the parent itself waits for its own parent; Live then says only how it was.
	Known bool
	// Live is true while somebody publishes the track.
	Live bool
	// Info describes the present or the last source.
	Info media.TrackInfo
	// Clocks are the publisher's sender reports, unchanged.
	Clocks [media.MaxLayers]media.Clock
	// Hops is how far the parent is from the home.
	Hops int
	// Path is the way the track takes to the parent: the parent itself, then its parent, and so on as far as is known.
	// A child that finds itself in it leaves, because the parent waits for the child in turn.
	Path []string
	// Births tie each layer's RTP timestamps to when they reached the node where the track was born, by the parent's clock.
	// Peers that do not know the field leave it out.
	Births [media.MaxLayers]media.Clock
}

func (s *TrackState) append(b []byte) []byte {
	b = appendBool(b, s.Known)
	b = appendBool(b, s.Live)
	b = appendBlock(b, appendInfo(nil, &s.Info))
	b = appendClocks(b, &s.Clocks)
	b = binary.AppendUvarint(b, uint64(s.Hops))
	b = appendTexts(b, s.Path)
	return appendClocks(b, &s.Births)
}

func (s *TrackState) parse(c *cursor) {
	s.Known = c.flag()
	s.Live = c.flag()
	c.block(func(c *cursor) { parseInfo(c, &s.Info) })
	s.Clocks = parseClocks(c)
	s.Hops = int(c.below(MaxPath, "the distance of the home"))
	s.Path = c.texts()
	if len(s.Path) > MaxPath {
		c.fail("the path is too long")
	}
	if c.err == nil && len(c.b) > 0 {
		s.Births = parseClocks(c)
	}
	if s.Live && c.err == nil && (len(s.Info.Layers) == 0 || s.Info.Codec.ClockRate == 0) {
		c.fail("a live track has no layer or no clock rate")
	}
}

// appendClocks appends a clock for each layer.
func appendClocks(b []byte, clocks *[media.MaxLayers]media.Clock) []byte {
	b = append(b, media.MaxLayers)
	for _, c := range clocks {
		b = appendClock(b, c)
	}
	return b
}

func parseClocks(c *cursor) (clocks [media.MaxLayers]media.Clock) {
	for l := range c.octet() {
		if clock := parseClock(c); l < media.MaxLayers {
			clocks[l] = clock
		}
	}
	return clocks
}

func appendClock(b []byte, c media.Clock) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, c.NTP), c.RTP)
}

func parseClock(c *cursor) media.Clock { return media.Clock{NTP: c.fixed64(), RTP: c.fixed32()} }

func appendInfo(b []byte, i *media.TrackInfo) []byte {
	b = append(b, byte(i.Kind))
	b = appendText(b, i.Codec.MimeType)
	b = binary.AppendUvarint(b, uint64(i.Codec.ClockRate))
	b = binary.AppendUvarint(b, uint64(i.Codec.Channels))
	b = appendText(b, i.Codec.Fmtp)
	b = binary.BigEndian.AppendUint32(b, i.Source)
	layers := i.Layers[:min(len(i.Layers), media.MaxLayers)]
	b = append(b, byte(len(layers)))
	for _, l := range layers {
		block := appendText(nil, l.RID)
		block = binary.AppendUvarint(block, uint64(l.Width))
		block = binary.AppendUvarint(block, uint64(l.Height))
		block = binary.AppendUvarint(block, uint64(l.Bitrate))
		b = appendBlock(b, block)
	}
	return b
}

func parseInfo(c *cursor, i *media.TrackInfo) {
	i.Kind = media.Kind(c.octet())
	i.Codec.MimeType = c.text()
	i.Codec.ClockRate = uint32(c.below(math.MaxUint32, "a clock rate"))
	i.Codec.Channels = uint16(c.below(math.MaxUint16, "the number of channels"))
	i.Codec.Fmtp = c.text()
	i.Source = c.fixed32()
	n := c.octet()
	if n > media.MaxLayers {
		c.fail("there are too many layers")
		return
	}
	for range n {
		var l media.LayerInfo
		c.block(func(c *cursor) {
			l.RID = c.text()
			l.Width = uint16(c.below(math.MaxUint16, "a width"))
			l.Height = uint16(c.below(math.MaxUint16, "a height"))
			l.Bitrate = uint32(c.below(math.MaxUint32, "a bitrate"))
		})
		i.Layers = append(i.Layers, l)
	}
}

// State says what the parent knows of a track now. It goes down.
type State struct {
	Sub   uint64
	State TrackState
}

func (*State) kind() uint64 { return kindState }

func (s *State) appendBody(b []byte) []byte {
	return s.State.append(binary.AppendUvarint(b, s.Sub))
}

func (s *State) parseBody(c *cursor) {
	s.Sub = c.uvarint()
	s.State.parse(c)
}

// Report is the newest of what ties a layer's timestamps to clocks. It goes down.
type Report struct {
	Sub    uint64
	Layer  media.Layer
	Source uint32
	// Clock is the publisher's last sender report, unchanged; zero if there was none.
	Clock media.Clock
	// Birth is as TrackState.Births has it. Peers that do not know the field leave it out.
	Birth media.Clock
}

func (*Report) kind() uint64 { return kindReport }

func (r *Report) appendBody(b []byte) []byte {
	b = binary.AppendUvarint(b, r.Sub)
	b = binary.AppendUvarint(b, uint64(r.Layer))
	b = binary.BigEndian.AppendUint32(b, r.Source)
	return appendClock(appendClock(b, r.Clock), r.Birth)
}

func (r *Report) parseBody(c *cursor) {
	r.Sub = c.uvarint()
	r.Layer = c.layer()
	r.Source = c.fixed32()
	r.Clock = parseClock(c)
	if c.err == nil && len(c.b) > 0 {
		r.Birth = parseClock(c)
	}
}
