package forward

import "lyceum/mesh/media"

// Levels decides which levels of a stream with several (SVC) one subscriber gets: one level and all below it. It goes down
// with the next frame and up with the next keyframe, since nothing tells it that a higher level could be decoded sooner. A
// stream without levels passes whole. NewLevels makes one that lets all pass.
type Levels struct {
	target uint8
	level  uint8  // of the newest frame, the one of number frame
	before uint8  // of the frames before since
	since  uint64 // the first frame of the present level
	frame  uint64
}

// NewLevels makes levels that aim at the highest.
func NewLevels() Levels {
	return Levels{target: media.MaxLevel, level: media.MaxLevel, before: media.MaxLevel}
}

// Aim says which level is the highest that the subscriber is to get, at most media.MaxLevel.
func (l *Levels) Aim(target uint8) { l.target = min(target, media.MaxLevel) }

// Begin starts a run at p, the first packet of a keyframe.
func (l *Levels) Begin(p *media.Packet) {
	l.level, l.before, l.since, l.frame = l.target, l.target, p.Frame, p.Frame
}

// Of is the level that the subscriber gets of the frame of p. A frame keeps the one that it began with: its end is marked by
// it.
func (l *Levels) Of(p *media.Packet) uint8 {
	if p.Frame > l.frame {
		l.frame = p.Frame
		if l.target < l.level || l.target > l.level && p.Flags.Has(media.Key) {
			l.before, l.since, l.level = l.level, p.Frame, l.target
		}
	}
	if p.Frame < l.since {
		return l.before
	}
	return l.level
}

// Level is the highest level that the subscriber gets now.
func (l *Levels) Level() uint8 { return l.level }

// Target is the level aimed at.
func (l *Levels) Target() uint8 { return l.target }

// Rises reports whether a keyframe is missing for the subscriber to get the level aimed at, of a stream that has so many.
func (l *Levels) Rises(levels int) bool { return min(int(l.target), levels-1) > int(l.level) }
