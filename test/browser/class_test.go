//go:build browser

package browser

import (
	"strings"
	"testing"

	"lyceum/test/up"
)

const (
	phoneWidth, phoneHeight     = 390, 844
	desktopWidth, desktopHeight = 1280, 860
)

func TestTeacherAndStudentAtTwoNodes(t *testing.T) {
	m := up.Start(t)
	teacher := Open(t, m.Teacher.Page, desktopWidth, desktopHeight)
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", func(s State) bool { return s.Status == "live" })

	student := Open(t, m.Student.Page, phoneWidth, phoneHeight)
	first := student.Until("a picture", func(s State) bool { return s.Status == "live" && s.FramesDecoded > 0 })
	student.Until("that frames are decoded", func(s State) bool { return s.FramesDecoded >= first.FramesDecoded+60 })
	student.Until("sound", func(s State) bool { return s.AudioLevel > 0 })
	if first.Node != m.Nodes[1].ID {
		t.Errorf("the student is served by %q, want %s", first.Node, m.Nodes[1].ID)
	}
	student.Screenshot("student-phone")
	teacher.Screenshot("teacher-desktop")
}

func TestStudentGoesOnAtAFallback(t *testing.T) {
	m := up.Start(t, "--demo")
	student := Open(t, m.Student.Page, desktopWidth, desktopHeight)
	student.Until("a picture", func(s State) bool { return s.FramesDecoded > 30 })
	student.Screenshot("student-desktop")
	m.Kill(t, 1)
	s := student.Until("another node", func(s State) bool { return s.Node != m.Nodes[1].ID && s.Status == "live" })
	student.Until("a picture again", func(now State) bool { return now.FramesDecoded > s.FramesDecoded+30 })
	student.Screenshot("student-fallback")
}

func TestStudentWaitsForTheTeacherAndForTheirReturn(t *testing.T) {
	m := up.Start(t)
	student := Open(t, m.Student.Page, phoneWidth, phoneHeight)
	student.Until("that it waits", func(s State) bool { return s.Status == "waiting" })
	student.Screenshot("student-waiting")

	teacher := Open(t, m.Teacher.Page, desktopWidth, desktopHeight)
	teacher.Click(`#go-live`)
	before := student.Until("a picture", func(s State) bool { return s.FramesDecoded > 30 })
	teacher.Click(`#stop`)
	student.Until("that it waits again", func(s State) bool { return s.Status == "waiting" })
	teacher.Click(`#go-live`)
	student.Until("the returned teacher", func(s State) bool {
		return s.Status == "live" && s.FramesDecoded > before.FramesDecoded+60
	})
}

func TestPagesSayWhatIsWrong(t *testing.T) {
	m := up.Start(t)
	gate := Open(t, m.Nodes[0].URL+"/watch/"+m.Room, phoneWidth, phoneHeight)
	gate.Until("that a token is missing", func(s State) bool { return s.Page == "gate" })
	gate.Screenshot("student-no-token")

	forged := Open(t, m.Nodes[0].URL+"/watch/"+m.Room+"#token=forged", phoneWidth, phoneHeight)
	forged.Until("that the token is bad", func(s State) bool { return strings.Contains(s.Error, "token") })
	forged.Screenshot("student-bad-token")

	student := Open(t, m.Nodes[0].URL+"/teach/"+m.Room+"#token="+m.Student.Token, desktopWidth, desktopHeight)
	student.Click(`#go-live`)
	student.Until("that a student cannot teach", func(s State) bool { return s.Status == "failed" && s.Error != "" })
	student.Screenshot("teacher-wrong-role")
}

func TestSecondTeacherIsTold(t *testing.T) {
	m := up.Start(t, "--demo")
	teacher := Open(t, m.Teacher.Page, desktopWidth, desktopHeight)
	teacher.Click(`#go-live`)
	teacher.Until("that another teacher publishes", func(s State) bool {
		return s.Status == "failed" && strings.Contains(strings.ToLower(s.Error), "another")
	})
	teacher.Screenshot("teacher-occupied")
}
