package origin

// The NAL unit types of H.264 (table 7-1) and of its payload format (RFC 6184, section 5.2) that say something.
const (
	nalSlice     = 1
	nalIDR       = 5
	nalSEI       = 6
	nalSPS       = 7
	nalDelimiter = 9
	nalFiller    = 12
	nalSTAPA     = 24
	nalFUA       = 28
)

// lookH264 reads one payload of packetization mode 0 or 1.
//
// A delimiter, filler or supplemental information that travels alone counts as empty: a decoder needs none of them, and the
// keyframe then begins with the packet of its parameter set.
func lookH264(p []byte) look {
	if len(p) == 0 {
		return look{empty: true}
	}
	switch t := p[0] & 0x1f; t {
	case nalDelimiter, nalFiller, nalSEI:
		return look{empty: true}
	case nalSTAPA:
		var l look
		rest := p[1:]
		for i := 0; len(rest) >= 2; i++ {
			size := int(rest[0])<<8 | int(rest[1])
			rest = rest[2:]
			if size == 0 || size > len(rest) {
				break
			}
			nal := rest[:size]
			rest = rest[size:]
			l.take(nal[0]&0x1f, nal, i == 0)
		}
		return l
	case nalFUA:
		var l look
		if len(p) < 3 {
			return l
		}
		t, first := p[1]&0x1f, p[1]&0x80 != 0
		if first {
			// The slice header begins after the FU header, as it does after the header of a whole NAL unit.
			l.take(t, p[1:], true)
		} else {
			l.key = t == nalIDR || t == nalSPS
		}
		return l
	default:
		var l look
		l.take(t, p, true)
		return l
	}
}

// take adds what a NAL unit says; opening is the first of its packet.
func (l *look) take(t byte, nal []byte, opening bool) {
	switch t {
	case nalSPS:
		l.key = true
		if w, h, ok := parseSPS(nal); ok {
			l.width, l.height = w, h
		}
		l.starts = l.starts || opening
	case nalDelimiter:
		l.starts = l.starts || opening
	case nalIDR:
		l.key = true // it may follow a parameter set that is missing, so it is no sure start
	case nalSlice:
		// first_mb_in_slice is 0, written as a single bit 1.
		l.starts = l.starts || opening && len(nal) > 1 && nal[1]&0x80 != 0
	}
}
