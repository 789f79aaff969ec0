package client

import "time"

// player decides which frame and which sound of a looping clip come next. Presentation goes on evenly while the place in
// the clip may jump: a keyframe that is asked for is found by jumping to the nearest one, which moves the picture's clock
// by at most half the distance of two keyframes, and the sound goes along.
type player struct {
	clip *clip
	// shift is how many frames the place in the clip is ahead of what was presented.
	shift int
}

// frame returns the place in the clip of the n-th frame presented. With key it is a keyframe.
func (p *player) frame(n int, key bool) int {
	total := len(p.clip.keys)
	at := (n + p.shift) % total
	if !key || p.clip.keys[at] {
		return at
	}
	for d := 1; ; d++ { // ends: frame 0 is a keyframe
		for _, step := range [...]int{-d, d} {
			if to := (at + step + total) % total; p.clip.keys[to] {
				p.shift = (p.shift + step + total) % total
				return to
			}
		}
	}
}

// sound returns the m-th packet of sound presented, or nil where the clip is silent.
func (p *player) sound(m int) []byte {
	at := (time.Duration(m)*soundPacket + time.Duration(p.shift)*p.clip.frame) % p.clip.length()
	if i := int(at / soundPacket); i < len(p.clip.sound) {
		return p.clip.sound[i]
	}
	return nil
}
