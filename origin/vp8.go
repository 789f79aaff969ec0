package origin

// lookVP8 reads the payload descriptor (RFC 7741, section 4.2) and, at the start of a keyframe, the frame header
// (RFC 6386, section 9.1).
func lookVP8(p []byte) look {
	if len(p) == 0 {
		return look{empty: true}
	}
	const (
		extended  = 0x80
		start     = 0x10
		partition = 0x07
	)
	l := look{starts: p[0]&start != 0 && p[0]&partition == 0, sure: true}
	n := 1
	if p[0]&extended != 0 {
		if len(p) < 2 {
			return look{sure: true}
		}
		x := p[1]
		n++
		if x&0x80 != 0 { // picture id, in 7 or 15 bits
			if n < len(p) && p[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 { // TL0PICIDX
			n++
		}
		if x&0x30 != 0 { // TID, KEYIDX
			n++
		}
	}
	if n >= len(p) {
		return look{sure: true, empty: n == len(p)}
	}
	if !l.starts || p[n]&1 != 0 {
		return l
	}
	l.key = true
	if h := p[n:]; len(h) >= 10 && h[3] == 0x9d && h[4] == 0x01 && h[5] == 0x2a {
		l.width = (uint16(h[6]) | uint16(h[7])<<8) & 0x3fff
		l.height = (uint16(h[8]) | uint16(h[9])<<8) & 0x3fff
	}
	return l
}
