package up

import (
	"fmt"
	"os"
	"testing"
	"time"

	"lyceum/edge"
	"lyceum/mesh/media"
)

// A teacher shares a screen beside the camera: the publication is sent on to the home of the room from where it was asked for,
// and players with one picture, at a node that is not the home, see it at once and the camera again when it ends.
func TestScreenBesideTheCamera(t *testing.T) {
	m := Start(t, "--demo")
	done := startWatch(t, m.Nodes[1].URL+"/whep/"+m.Room, "--token", m.Student.Token, "-n", "3", "--for", "25s")
	shown := func(track string) {
		t.Helper()
		Eventually(t, 20*time.Second, func() string {
			var st struct{ Students []edge.RoomStatus }
			Get(t, m.Nodes[1].Admin+"/status", &st)
			seen := 0
			for _, room := range st.Students {
				for _, s := range room.Subscribers {
					if s.Video == nil || s.Audio == nil || s.Video.Track != track || !s.Video.Playing || s.Audio.Track != media.Microphone {
						return fmt.Sprintf("a student gets %+v and %+v, want the %s", s.Video, s.Audio, track)
					}
					seen++
				}
			}
			if seen != 3 {
				return fmt.Sprintf("%d students are there", seen)
			}
			return ""
		})
	}
	shown(media.Camera)
	screen := Command(t, "publish", m.Nodes[2].URL+"/whip/"+m.Room+"?source=screen", "--token", m.Teacher.Token, "--layers", "1")
	if err := screen.Start(); err != nil {
		t.Fatal(err)
	}
	shown(media.Screen)
	_ = screen.Process.Signal(os.Interrupt) // it runs
	_ = screen.Wait()
	shown(media.Camera)
	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Watching != 3 || r.Lost != 0 || r.Reconnects != 0 || r.LongestGap > 2000 {
		t.Errorf("%d watch, %d packets are lost, %d sessions were made anew, the longest gap is %.0f ms; want 3, none, none, less than 2 s",
			r.Watching, r.Lost, r.Reconnects, r.LongestGap)
	}
}
