package client

import (
	"strings"
)

// codec is what the keyframe finder can read.
type codec uint8

const (
	unknownCodec codec = iota
	vp8
	h264
)

// codecOf maps a MIME type.
func codecOf(mime string) codec {
	switch {
	case strings.EqualFold(mime, "video/VP8"):
		return vp8
	case strings.EqualFold(mime, "video/H264"):
		return h264
	}
	return unknownCodec
}

// keyframe finds the first whole keyframe of a video: every packet from the one where it begins to the one with the marker.
type keyframe struct {
	codec codec
	found bool

	// open tells that a keyframe has begun: at first, with this timestamp. Its end is known when ended.
	open, ended bool
	timestamp   uint32
	first, last uint64
	// parameters tells that H.264 parameter sets were seen, without which no picture can be decoded, and intra that the
	// open frame holds an intra picture.
	parameters, intra bool
}

// add learns from a new packet with its extended number, and reports whether the first keyframe is whole with it.
func (k *keyframe) add(s *span, number uint64, timestamp uint32, marker bool, payload []byte) bool {
	if k.found {
		return false
	}
	begins, intra := k.look(payload)
	if begins && (!k.open || timestamp != k.timestamp || number < k.first) {
		if k.open && int32(timestamp-k.timestamp) < 0 {
			return false // a late packet of an older keyframe
		}
		if timestamp != k.timestamp {
			k.ended, k.intra = false, false
		}
		k.open, k.timestamp, k.first = true, timestamp, number
	}
	if marker && (!k.open || timestamp == k.timestamp) {
		k.ended, k.last = true, number
		if !k.open {
			k.timestamp = timestamp
		}
	}
	if !k.open || timestamp != k.timestamp {
		return false
	}
	k.intra = k.intra || intra
	if !k.ended || !k.intra || k.last < k.first {
		return false
	}
	for n := k.first; n <= k.last; n++ {
		if !s.has(n) {
			return false
		}
	}
	k.found = true
	return true
}

// look tells whether a payload is where a decodable keyframe begins, and whether it holds a part of an intra picture.
func (k *keyframe) look(payload []byte) (begins, intra bool) {
	switch k.codec {
	case vp8:
		begins = vp8Begins(payload)
		return begins, begins
	case h264:
		sps, idr := h264Holds(payload)
		begins = sps || idr && k.parameters
		k.parameters = k.parameters || sps
		return begins, idr
	}
	return false, false
}

// vp8Begins reports whether a payload is the first of a VP8 keyframe (RFC 7741, sections 4.2 and 4.3).
func vp8Begins(p []byte) bool {
	if len(p) < 1 || p[0]&0x10 == 0 || p[0]&0x07 != 0 {
		return false // not the start of the first partition
	}
	at := 1
	if p[0]&0x80 != 0 { // extended
		if len(p) < 2 {
			return false
		}
		x := p[1]
		at = 2
		if x&0x80 != 0 { // picture identifier, of one or two bytes
			if len(p) <= at {
				return false
			}
			if p[at]&0x80 != 0 {
				at++
			}
			at++
		}
		if x&0x40 != 0 { // TL0PICIDX
			at++
		}
		if x&0x30 != 0 { // TID and KEYIDX
			at++
		}
	}
	return at < len(p) && vp8FrameIsKey(p[at:])
}

// h264Holds reports whether a payload holds a sequence parameter set, and the start or all of an IDR slice (RFC 6184).
func h264Holds(p []byte) (sps, idr bool) {
	const (
		typeIDR   = 5
		typeSPS   = 7
		typeSTAPA = 24
		typeFUA   = 28
	)
	if len(p) == 0 {
		return false, false
	}
	switch p[0] & 0x1f {
	case typeIDR:
		return false, true
	case typeSPS:
		return true, false
	case typeSTAPA:
		for rest := p[1:]; len(rest) > 2; {
			size := int(rest[0])<<8 | int(rest[1])
			rest = rest[2:]
			if size == 0 || size > len(rest) {
				break
			}
			switch rest[0] & 0x1f {
			case typeIDR:
				idr = true
			case typeSPS:
				sps = true
			}
			rest = rest[size:]
		}
	case typeFUA:
		idr = len(p) > 1 && p[1]&0x80 != 0 && p[1]&0x1f == typeIDR
	}
	return sps, idr
}
