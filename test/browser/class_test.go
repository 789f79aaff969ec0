//go:build browser

package browser

import (
	"strings"
	"testing"

	"lyceum/test/up"
)

func is(status string) func(State) bool {
	return func(s State) bool { return s.Status == status }
}

func TestTeacherAndStudentAtTwoNodes(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, desktop)
	teacher.UntilHas(`#go-live`)
	teacher.Screenshot("teacher-before")
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", is("live"))

	student := Open(t, "student", m.Student.Page, phone)
	s := student.UntilMoving(60)
	student.Until("sound", func(s State) bool { return s.AudioLevel > 0 })
	if s.Node != m.Nodes[1].ID {
		t.Errorf("the student is served by %q, want %s", s.Node, m.Nodes[1].ID)
	}
	teacher.Until("that somebody watches", func(s State) bool { return s.Students == 1 })
	student.Screenshot("student-phone")
	teacher.Screenshot("teacher-desktop")
}

func TestFirefoxTeachesAndWatches(t *testing.T) {
	own := OwnAddress(t)
	if FindFirefox() == "" || own == "" {
		t.Skip("this needs Firefox, and an address that is not a loopback one, from which Firefox takes no media")
	}
	m := up.Start(t, "--media", own)
	teacher := OpenFirefox(t, "teacher", m.Teacher.Page, desktop)
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", is("live"))
	student := OpenFirefox(t, "student", m.Student.Page, desktop)
	student.UntilMoving(30)
	student.Screenshot("student-firefox")
	teacher.Screenshot("teacher-firefox")
}

func TestTeacherReloadsThePage(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, phone)
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", is("live"))
	teacher.Screenshot("teacher-phone")
	student := Open(t, "student", m.Student.Page, phoneSide)
	student.UntilMoving(30)
	student.Screenshot("student-phone-landscape")

	teacher.Reload()
	student.Until("that the class waits for its teacher", is("waiting"))
	teacher.Click(`#go-live`)
	teacher.Until("that it is live again", is("live"))
	if s := student.UntilMoving(30); s.Moves != 0 {
		t.Errorf("the student needed %d new sessions for a teacher who came back, want none", s.Moves)
	}
}

// A screen is shared beside the camera: a student's page shows both, exchanges them, and goes back to the camera, all in one
// session. A teacher who shares before the class begins is seen with the screen at once.
func TestTeacherSharesTheScreen(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, desktop)
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", is("live"))
	student := Open(t, "student", m.Student.Page, desktop)
	student.UntilMoving(30)
	teacher.Click(`#screen`)
	teacher.UntilHas(`.badge`)
	teacher.Until("that the screen is sent", func(s State) bool { return s.Screen == "live" && len(s.ScreenLayers) == 2 })
	s := student.Until("the screen", func(s State) bool { return s.Screen == "live" && s.ScreenFrames > 3 && s.Large == "screen" })
	student.UntilHas(`#teacher.small`)
	student.UntilMoving(30)
	if s.ScreenWidth < 600 {
		t.Errorf("the screen is %d pixels wide, want what can be read", s.ScreenWidth)
	}
	teacher.Screenshot("teacher-screen")
	student.Screenshot("student-screen")
	student.Click(`#swap`)
	student.UntilHas(`#display.small`)
	student.Screenshot("student-screen-exchanged")
	student.Click(`#swap`)
	student.UntilHas(`#teacher.small`)

	teacher.Click(`#screen`)
	student.Until("that the screen is gone", func(s State) bool { return s.Screen == "off" && s.Large == "camera" })
	if s := student.UntilMoving(30); s.Moves != 0 {
		t.Errorf("the student needed %d new sessions for a screen, want none", s.Moves)
	}
	if s := teacher.Until("that the class goes on", is("live")); s.Moves != 0 || s.Screen != "off" {
		t.Errorf("the teacher's class was begun anew %d times, the screen is %q; want none and off", s.Moves, s.Screen)
	}
}

func TestScreenOnAPhone(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, phone)
	teacher.Click(`#screen`)
	teacher.UntilHas(`.badge`)
	teacher.Click(`#go-live`)
	teacher.Until("both", func(s State) bool { return s.Status == "live" && s.Screen == "live" && s.Students == 0 })
	student := Open(t, "student", m.Student.Page, phone)
	student.Until("the screen", func(s State) bool { return s.Screen == "live" && s.Large == "screen" })
	student.Screenshot("student-screen-phone")
	teacher.Screenshot("teacher-screen-phone")
}

func TestTheTeachersNodeDies(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, desktop)
	teacher.Click(`#go-live`)
	home := teacher.Until("that it is live", is("live")).Node
	student := Open(t, "student", m.Student.Page, night)
	student.UntilMoving(30)
	if home != m.Nodes[0].ID {
		t.Fatalf("the teacher publishes at %q, want %s", home, m.Nodes[0].ID)
	}
	m.Kill(t, 0)
	teacher.Until("that the node is lost", is("reconnecting"))
	teacher.Screenshot("teacher-reconnecting")
	teacher.Until("that the class goes on at another node", func(s State) bool {
		return s.Status == "live" && s.Moves > 0 && s.Node != home
	})
	student.UntilMoving(30)
	student.Screenshot("student-dark")
}

func TestStudentGoesOnAtAFallback(t *testing.T) {
	m := up.Start(t, "--demo")
	student := Open(t, "student", m.Student.Page, desktop)
	student.UntilMoving(30)
	student.Screenshot("student-desktop")
	m.Kill(t, 1)
	student.Until("another node", func(s State) bool { return s.Node != m.Nodes[1].ID && s.Status == "live" })
	student.UntilMoving(30)
	student.Screenshot("student-fallback")
}

func TestStudentWaitsForTheTeacherAndForTheirReturn(t *testing.T) {
	m := up.Start(t)
	student := Open(t, "student", m.Student.Page, phoneDark)
	student.Until("that it waits", is("waiting"))
	student.Screenshot("student-waiting")

	teacher := Open(t, "teacher", m.Teacher.Page, desktop)
	teacher.Click(`#go-live`)
	student.UntilMoving(30)
	teacher.Click(`#stop`)
	student.Until("that it waits again", is("waiting"))
	student.Screenshot("student-paused")
	teacher.Click(`#go-live`)
	if s := student.UntilMoving(30); s.Moves != 0 {
		t.Errorf("the student needed %d new sessions for a teacher who came back, want none", s.Moves)
	}
}

func TestPagesSayWhatIsWrong(t *testing.T) {
	m := up.Start(t, "--demo")
	front := Open(t, "visitor", m.Nodes[0].URL+"/", desktop)
	front.Click(`#enter`)
	front.Until("the front door", func(s State) bool { return s.Page == "landing" })
	front.Screenshot("landing-desktop")
	door := Open(t, "visitor", m.Nodes[0].URL+"/", phoneDark)
	door.Until("the front door", func(s State) bool { return s.Page == "landing" })
	door.Screenshot("landing-phone-dark")

	gate := Open(t, "guest", m.Nodes[0].URL+"/watch/"+m.Room, phone)
	gate.Until("that a token is missing", func(s State) bool { return s.Page == "gate" })
	gate.Screenshot("student-no-token")

	forged := Open(t, "forger", m.Nodes[0].URL+"/watch/"+m.Room+"#token=forged", phone)
	forged.Until("that the token is bad", func(s State) bool { return strings.Contains(s.Error, "token") })
	forged.Screenshot("student-bad-token")

	student := Open(t, "student", m.Nodes[0].URL+"/teach/"+m.Room+"#token="+m.Student.Token, phone)
	student.Click(`#go-live`)
	student.Until("that a student cannot teach", func(s State) bool { return s.Status == "failed" && s.Error != "" })
	student.Screenshot("teacher-wrong-role")

	second := Open(t, "second teacher", m.Teacher.Page, desktop)
	second.Click(`#go-live`)
	second.Until("that another teacher publishes", func(s State) bool {
		return s.Status == "failed" && strings.Contains(strings.ToLower(s.Error), "another")
	})
	second.Screenshot("teacher-occupied")
}
