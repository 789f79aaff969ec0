package origin

import "strings"

// look is what one payload says about its frame.
type look struct {
	// starts says that the payload is the start of a frame; it is certain for VP8 and VP9, and a guess for H.264.
	starts bool
	// sure says that starts needs no neighbour to be believed.
	sure bool
	// key says that the frame is a keyframe.
	key bool
	// empty says that the payload carries nothing that a decoder needs.
	empty bool
	// width and height are those of the frame, 0 when this payload does not say.
	width, height uint16
	// level is the spatial layer of the payload, and ends says that it is the last of its level in the frame.
	level uint8
	ends  bool
	// described says that the packet has a dependency descriptor, which goes with it.
	described bool
}

// looker looks at a payload.
type looker func(payload []byte) look

// lookerFor chooses the looker of a codec.
func lookerFor(mimeType string) looker {
	switch strings.ToLower(mimeType) {
	case "video/vp8":
		return lookVP8
	case "video/h264":
		return lookH264
	case "video/vp9":
		return lookVP9
	case "video/av1":
		return lookAV1
	}
	return lookAudio
}

// lookAudio: each packet is a frame of its own.
func lookAudio(payload []byte) look {
	return look{starts: true, sure: true, empty: len(payload) == 0}
}
