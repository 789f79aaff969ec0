package edge

import (
	"slices"

	"lyceum/edge/forward"
	"lyceum/mesh/media"
)

// part is one section of an offer, and what it is answered with.
type part struct {
	kind   media.Kind
	name   string   // what the answer calls its track
	tracks []string // those of the room that it can carry, the best first
}

// The name of what a subscriber gets that asks for one picture.
const programme = "programme"

// parts says what the sections of an offer are answered with. Who asks for one picture gets the programme: the screen while
// one is shared, else the camera; and for one sound the microphone, or what is heard from the screen while there is none.
// Who asks for two gets both, in the order camera, screen.
func parts(kinds []media.Kind) []part {
	list := make([]part, len(kinds))
	for i, kind := range kinds {
		own, beside := media.Camera, media.Screen
		if kind == media.Audio {
			own, beside = media.Microphone, media.ScreenSound
		}
		alone, second := true, false
		for j, other := range kinds {
			alone = alone && (j == i || other != kind)
			second = second || j < i && other == kind
		}
		switch {
		case alone && kind == media.Video:
			list[i] = part{kind, programme, []string{beside, own}}
		case alone:
			list[i] = part{kind, own, []string{own, beside}}
		case second:
			list[i] = part{kind, beside, []string{beside}}
		default:
			list[i] = part{kind, own, []string{own}}
		}
	}
	return list
}

// roomTracks are the tracks that a room can have.
func roomTracks() map[string]media.Kind {
	return map[string]media.Kind{
		media.Camera: media.Video, media.Screen: media.Video, media.Microphone: media.Audio, media.ScreenSound: media.Audio,
	}
}

// classOf says what a picture is to a subscriber.
func classOf(track string) forward.Class {
	if track == media.Screen {
		return forward.Slides
	}
	return forward.Camera
}

// offer sets the leg's choices.
func (l *leg) offer(s *shard, tracks []string) {
	for _, track := range tracks {
		l.choices = append(l.choices, s.pumps[track])
	}
	l.at.Store(l.choices[0])
}

// best is the best of the leg's tracks that somebody sends and the subscriber can take, nil for none.
func (l *leg) best() *pump {
	for _, p := range l.choices {
		if st := p.track.State(); st.Live && l.out.match(st.Info.Codec) != nil {
			return p
		}
	}
	return nil
}

// carry lets a pump serve the leg from now on. What was sent of the track before cannot be sent again: a number may mean
// another packet now.
func (l *leg) carry(p *pump) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.Store(p)
	l.generation, l.source, l.order, l.codec = 0, 0, nil, nil
	l.picture.infos = nil
	l.picture.live, l.picture.allowed, l.picture.class, l.picture.useless = false, 0, p.class, l.rewriter.Next()
}

// enter begins to serve a leg whose choices are set.
func (s *shard) enter(l *leg) {
	s.legsMu.Lock()
	defer s.legsMu.Unlock()
	to := l.best()
	if to == nil {
		to = l.choices[len(l.choices)-1]
		if l.kind == media.Audio {
			to = l.choices[0]
		}
	}
	l.carry(to)
	to.add(l)
	if len(l.choices) > 1 {
		s.legs = append(s.legs, l)
	}
}

// exit ends the serving of a leg.
func (s *shard) exit(l *leg) {
	s.legsMu.Lock()
	defer s.legsMu.Unlock()
	s.legs = slices.DeleteFunc(s.legs, func(o *leg) bool { return o == l })
	l.at.Load().remove(l)
}

// steer gives each leg the best of its tracks, when one of them has begun or ended. While none is sent a leg stays where it
// is: its track is the likeliest to come back.
func (s *shard) steer() {
	s.legsMu.Lock()
	defer s.legsMu.Unlock()
	for _, l := range s.legs {
		from, to := l.at.Load(), l.best()
		if to == nil || to == from {
			continue
		}
		from.remove(l)
		l.carry(to)
		to.add(l)
	}
}
