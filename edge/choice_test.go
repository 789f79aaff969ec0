package edge

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

func TestPartsOfAnOffer(t *testing.T) {
	v, a := media.Video, media.Audio
	for _, c := range []struct {
		kinds []media.Kind
		want  string
	}{
		{[]media.Kind{v}, "programme=screen,camera"},
		{[]media.Kind{a, v}, "microphone=microphone,screen-sound programme=screen,camera"},
		{[]media.Kind{v, a, v}, "camera=camera microphone=microphone,screen-sound screen=screen"},
		{[]media.Kind{v, v, a, a}, "camera=camera screen=screen microphone=microphone screen-sound=screen-sound"},
	} {
		var got []string
		for _, p := range parts(c.kinds) {
			got = append(got, p.name+"="+strings.Join(p.tracks, ","))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v: %s, want %s", c.kinds, s, c.want)
		}
	}
}

// track is the picture that a student gets now.
func (s *student) track() string { return s.subscriber.Stats().Video.Track }

func TestPlayerWithOnePictureGetsTheProgramme(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := n.join()
	s.whole(60)
	if got := s.track(); got != media.Camera {
		t.Errorf("it gets the %s", got)
	}

	stop := n.publish(2, media.Screen, media.ScreenSound)
	until(t, "the screen", func() bool { return s.track() == media.Screen })
	at := len(s.video())
	until(t, "frames of the screen", func() bool { return len(s.video()) > at+60 })
	if s.subscriber.Stats().Audio.Track != media.Microphone {
		t.Error("the microphone is not heard while a screen with sound is shared")
	}
	late := n.join()
	late.whole(30)
	if got := late.track(); got != media.Screen {
		t.Errorf("who comes late gets the %s", got)
	}

	stop()
	until(t, "the camera again", func() bool { return s.track() == media.Camera && late.track() == media.Camera })
	at = len(s.video())
	until(t, "frames of the camera", func() bool { return len(s.video()) > at+60 })
	got := s.whole(0)
	checkFlow(t, got)
	sources := []byte{}
	for i := range got {
		if source := got[i].Payload[30]; len(sources) == 0 || sources[len(sources)-1] != source {
			sources = append(sources, source)
		}
	}
	if !slices.Equal(sources, []byte{1, 2, 1}) {
		t.Errorf("the sources were %v", sources)
	}
	if sub := s.subscriber.Stats(); sub.Video.Pleas != 0 || sub.Screen != nil {
		t.Errorf("%+v", sub)
	}
}

func TestScreenAloneIsSeenAndHeard(t *testing.T) {
	n := newNode(t, nil)
	n.publish(1, media.Screen, media.ScreenSound)
	s := n.join()
	s.whole(30)
	until(t, "the sound of the screen", func() bool { return len(s.audio()) > 10 })
	if st := s.subscriber.Stats(); st.Video.Track != media.Screen || st.Audio.Track != media.ScreenSound {
		t.Errorf("it gets %s and %s", st.Video.Track, st.Audio.Track)
	}
	n.teach(2)
	until(t, "the microphone", func() bool { return s.subscriber.Stats().Audio.Track == media.Microphone })
}

func TestPlayerWithTwoPicturesGetsBoth(t *testing.T) {
	n := newNode(t, nil)
	n.teach(1)
	s := newPlayer(t)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := s.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	n.admit(s, s.offer(nil))
	seen := func(track string, more int) func() bool {
		s.mu.Lock()
		was := s.tracks[track]
		s.mu.Unlock()
		return func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.tracks[track] > was+more }
	}
	until(t, "the camera", seen(media.Camera, 30))
	s.mu.Lock()
	if s.tracks[media.Screen] != 0 {
		t.Error("a screen is seen that nobody shares")
	}
	s.mu.Unlock()
	stop := n.publish(2, media.Screen, media.ScreenSound)
	for _, track := range []string{media.Camera, media.Microphone, media.Screen, media.ScreenSound} {
		until(t, "all four: "+track, seen(track, 30))
	}
	stop()
	until(t, "the camera goes on", seen(media.Camera, 30))
	if st := s.subscriber.Stats(); st.Screen == nil || st.ScreenSound == nil || st.Video.Track != media.Camera {
		t.Errorf("%+v", st)
	}
}
