//go:build browser

package browser

import (
	"testing"
	"time"

	"lyceum/test/up"
)

// drained runs lyceum drain to its end.
func drained(t *testing.T, m *up.Mesh, node string) {
	t.Helper()
	out, err := up.Command(t, "drain", node, "--deadline", "20s", "--admin", m.Nodes[0].Admin).CombinedOutput()
	t.Logf("lyceum drain %s: %s", node, out)
	if err != nil {
		t.Error(err)
	}
}

// The student's page is asked to leave its node and shows the class on; the teacher's page finds another node when its home
// is emptied.
func TestNodesAreDrainedUnderAClass(t *testing.T) {
	laboratory(t)
	m := up.Start(t)
	teacher := Open(t, "teacher", m.Teacher.Page, desktop)
	teacher.Click(`#go-live`)
	teacher.Until("that it is live", is("live"))
	student := Open(t, "student", m.Student.Page, desktop)
	at := student.UntilMoving(60).Node

	done := make(chan struct{})
	go func() {
		defer close(done)
		drained(t, m, at)
	}()
	other := func(s State) bool { return s.Node != at && s.Status == "live" }
	student.Until("another node, without a moment of none", func(s State) bool {
		if s.Status != "live" && s.Status != "" {
			t.Errorf("the student's page was %s during its move", s.Status)
		}
		return other(s)
	})
	<-done
	if s := student.UntilMoving(30); s.Moves != 1 {
		t.Errorf("the student moved %d times, want once", s.Moves)
	}

	home := teacher.Until("that it is live", is("live")).Node
	began := time.Now()
	if home == at {
		t.Fatalf("both are at %s", home)
	}
	drained(t, m, home)
	teacher.Until("that it is live elsewhere", func(s State) bool { return s.Status == "live" && s.Node != home && s.Moves == 1 })
	t.Logf("the teacher is live elsewhere %v after the drain began", time.Since(began).Round(time.Millisecond))
	student.UntilMoving(30)
}
