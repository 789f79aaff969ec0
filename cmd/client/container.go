package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// soundPacket is how much sound one Opus packet of a clip holds, the usual length in WebRTC.
const soundPacket = 20 * time.Millisecond

// maxFrame bounds one encoded frame of a clip; a keyframe of a 4K lecture is far below it.
const maxFrame = 4 << 20

// readIVF takes an IVF file with VP8 apart, without copying. It returns the frames and how long each shows.
func readIVF(raw []byte) ([][]byte, time.Duration, error) {
	const fileHeader, frameHeader = 32, 12
	if len(raw) < fileHeader || string(raw[:4]) != "DKIF" {
		return nil, 0, errors.New("not an IVF file")
	}
	if codec := string(raw[8:12]); codec != "VP80" {
		return nil, 0, fmt.Errorf("the codec is %q, only VP8 can be played", codec)
	}
	header := int(binary.LittleEndian.Uint16(raw[6:]))
	den, num := binary.LittleEndian.Uint32(raw[16:]), binary.LittleEndian.Uint32(raw[20:])
	if header < fileHeader || header > len(raw) || num == 0 || den == 0 {
		return nil, 0, errors.New("the IVF header makes no sense")
	}
	var frames [][]byte
	var first, last uint64
	for rest := raw[header:]; len(rest) > 0; {
		if len(rest) < frameHeader {
			return nil, 0, fmt.Errorf("cut off in the header of frame %d", len(frames))
		}
		size := binary.LittleEndian.Uint32(rest)
		last = binary.LittleEndian.Uint64(rest[4:])
		if rest = rest[frameHeader:]; size > maxFrame || int(size) > len(rest) {
			return nil, 0, fmt.Errorf("cut off in frame %d", len(frames))
		}
		if frames == nil {
			first = last
		}
		frames = append(frames, rest[:size:size])
		rest = rest[size:]
	}
	if len(frames) < 2 || last <= first || last-first > 1<<32 {
		return nil, 0, errors.New("fewer than two frames, or their times do not rise")
	}
	seconds := float64(last-first) * float64(num) / float64(den) / float64(len(frames)-1)
	every := time.Duration(seconds*float64(time.Second) + 0.5)
	if every < time.Millisecond || every > 10*time.Second {
		return nil, 0, fmt.Errorf("a frame every %s cannot be played", every)
	}
	return frames, every, nil
}

// readOpus takes an Ogg file with one Opus stream apart (RFC 3533, RFC 7845) and returns its packets, which must be of
// soundPacket each.
func readOpus(raw []byte) ([][]byte, error) {
	const pageHeader = 27
	var packets [][]byte
	var packet []byte
	for len(raw) > 0 {
		if len(raw) < pageHeader || string(raw[:4]) != "OggS" {
			return nil, errors.New("not an Ogg file, or cut off")
		}
		segments := int(raw[26])
		if len(raw) < pageHeader+segments {
			return nil, errors.New("cut off in a page header")
		}
		lacing, body := raw[pageHeader:pageHeader+segments], raw[pageHeader+segments:]
		for _, n := range lacing {
			if int(n) > len(body) {
				return nil, errors.New("cut off in a page")
			}
			packet = append(packet, body[:n]...)
			if len(packet) > maxFrame {
				return nil, errors.New("a packet of more than 4 MiB")
			}
			if body = body[n:]; n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
		raw = body
	}
	if len(packets) < 3 || !bytes.HasPrefix(packets[0], []byte("OpusHead")) || !bytes.HasPrefix(packets[1], []byte("OpusTags")) {
		return nil, errors.New("not an Opus stream")
	}
	packets = packets[2:]
	for i, p := range packets {
		if d := opusDuration(p); d != soundPacket {
			return nil, fmt.Errorf("packet %d holds %s of sound, only packets of %s can be played", i, d, soundPacket)
		}
	}
	return packets, nil
}

// opusDuration is how much sound an Opus packet holds by its table of contents byte (RFC 6716, section 3.1).
func opusDuration(p []byte) time.Duration {
	if len(p) == 0 {
		return 0
	}
	var frame time.Duration
	switch config := p[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [...]time.Duration{10, 20, 40, 60}[config&3] * time.Millisecond
	case config < 16: // hybrid: 10, 20 ms
		frame = [...]time.Duration{10, 20}[config&1] * time.Millisecond
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 2500 * time.Microsecond << (config & 3)
	}
	switch p[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(p) < 2 {
		return 0
	}
	return time.Duration(p[1]&0x3f) * frame
}
