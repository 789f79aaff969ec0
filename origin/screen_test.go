package origin

import (
	"errors"
	"testing"

	"github.com/pion/webrtc/v4"

	"lyceum/mesh/media"
)

// share publishes a screen.
func share(t *testing.T, o *Origin, subject string) (*Publisher, error) {
	t.Helper()
	e := newTeacher(t, webrtc.MimeTypeH264)
	p, answer, err := o.Publish(t.Context(), PublishRequest{Room: "math", Source: FromScreen, Subject: subject, Offer: e.offer})
	if err == nil {
		e.connect(answer)
	}
	return p, err
}

func TestScreenAndCameraLiveAndEndEachByItself(t *testing.T) {
	o, _ := start(t, Config{})
	camera := publish(t, o, "math", "anna", newTeacher(t, webrtc.MimeTypeVP8))
	screen, err := share(t, o, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := share(t, o, "anna"); !errors.Is(err, ErrOccupied) {
		t.Errorf("a second screen: %v", err)
	}
	if list := o.Status(); len(list) != 2 || list[0].Source != FromCamera || list[1].Source != FromScreen || len(o.Rooms()) != 1 {
		t.Errorf("status %+v, rooms %q", list, o.Rooms())
	}
	for name, p := range map[string]*Publisher{media.Camera: camera, media.Screen: screen} {
		<-p.ready
		if got := p.feeds()[0].track.ID().Name; got != name {
			t.Errorf("the %s is written to %s", name, got)
		}
	}
	screen.Close(ErrLeft)
	ended(t, screen, ErrLeft)
	if camera.isClosing() {
		t.Error("the camera ended with the screen")
	}
	if screen, err = share(t, o, "anna"); err != nil {
		t.Fatal(err)
	}
	camera.Close(ErrLeft)
	ended(t, camera, ErrLeft)
	if screen.isClosing() {
		t.Error("the screen ended with the camera")
	}
	gone := errors.New("the room was closed")
	o.CloseRoom("math", gone)
	ended(t, screen, gone)
}
