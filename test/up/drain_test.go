package up

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/cmd/node"
)

// drain runs lyceum drain for a node, through the first one's admin listener, and returns what it printed.
func drain(t *testing.T, m *Mesh, id, deadline string) string {
	t.Helper()
	began := time.Now()
	out, err := Command(t, "drain", id, "--deadline", deadline, "--admin", m.Nodes[0].Admin).CombinedOutput()
	t.Logf("lyceum drain, %v: %s", time.Since(began).Round(time.Millisecond), out)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func status(t *testing.T, url string) int {
	t.Helper()
	rsp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	return rsp.StatusCode
}

// seated waits until as many students watch at a node.
func seated(t *testing.T, m *Mesh, i, students int) {
	t.Helper()
	Eventually(t, 20*time.Second, func() string {
		var d node.DrainInfo
		Get(t, m.Nodes[i].Admin+"/v1/drain", &d)
		if d.Students != students {
			return "still at " + m.Nodes[i].ID + ": " + d.String()
		}
		return ""
	})
}

func TestDrainedNodeIsEmptiedWithoutAGapAndTakesStudentsAgain(t *testing.T) {
	m := Start(t, "--demo")
	const students = 12
	singapore := m.Nodes[1]
	whep := singapore.URL + "/whep/" + m.Room
	done := startWatch(t, whep, "--token", m.Student.Token, "-n", "12", "--for", "40s")
	seated(t, m, 1, students)

	if out := drain(t, m, singapore.ID, "18s"); !strings.Contains(out, "It is safe to stop singapore.") {
		t.Errorf("drain said: %s", out)
	}
	if live, ready := status(t, singapore.Admin+"/livez"), status(t, singapore.Admin+"/readyz"); live != 200 || ready != 503 {
		t.Errorf("/livez answers %d and /readyz %d, want 200 and 503", live, ready)
	}
	sdp := offer(t, webrtc.RTPTransceiverDirectionRecvonly)
	sentOn(t, post(t, whep, m.Student.Token, sdp), m.Nodes[0].URL+"/whep/"+m.Room)

	if out, err := Command(t, "undrain", singapore.ID, "--admin", m.Nodes[0].Admin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if ready := status(t, singapore.Admin+"/readyz"); ready != 200 {
		t.Errorf("/readyz answers %d after the drain", ready)
	}
	remove(t, created(t, post(t, whep, m.Student.Token, sdp), whep))

	drain(t, m, singapore.ID, "6s")
	began := time.Now()
	if err := syscall.Kill(singapore.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 10*time.Second, func() string {
		if syscall.Kill(singapore.PID, 0) == nil {
			return "the node has not ended"
		}
		return ""
	})
	t.Logf("the drained node ended after %v", time.Since(began).Round(time.Millisecond))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drained node took %v to end", took)
	}

	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != students || r.Nodes[singapore.ID] != 0 || r.Reconnects != students {
		t.Errorf("%d joined, they watch at %v after %d moves, want %d elsewhere after one each", r.Joined, r.Nodes, r.Reconnects, students)
	}
	if r.LongestGap > 2000 {
		t.Errorf("students were without media for %.0f ms", r.LongestGap)
	}
}

func TestDrainedHomeGivesItsTeacherAndTheLeadAway(t *testing.T) {
	m := Start(t, "--demo")
	frankfurt := m.Nodes[0]
	done := startWatch(t, m.Nodes[1].URL+"/whep/"+m.Room, "--token", m.Student.Token, "-n", "5", "--for", "25s")
	seated(t, m, 1, 5)
	if out := drain(t, m, frankfurt.ID, "12s"); !strings.Contains(out, "It is safe to stop frankfurt.") {
		t.Errorf("drain said: %s", out)
	}
	var room node.RoomInfo
	Get(t, m.Nodes[1].Admin+"/v1/rooms/"+m.Room, &room)
	if room.Home == frankfurt.ID || room.Home == "" || !room.Live {
		t.Errorf("the home is %q, live: %t, want another one that is live", room.Home, room.Live)
	}
	var list node.NodeList
	Get(t, m.Nodes[1].Admin+"/v1/nodes", &list)
	led := false
	for _, n := range list.Nodes {
		led = led || n.Leader
		if n.ID == frankfurt.ID && (n.Leader || !n.Draining) {
			t.Errorf("the drained node leads: %t, says that it is drained: %t", n.Leader, n.Draining)
		}
	}
	if !led {
		t.Error("nobody leads the directory")
	}
	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 5 || r.Reconnects != 0 {
		t.Errorf("%d joined, and %d sessions were made anew, want 5 and none: only the teacher has moved", r.Joined, r.Reconnects)
	}
	if r.LongestGap > 2000 {
		t.Errorf("students were without media for %.0f ms", r.LongestGap)
	}
}

func TestNodeThatIsToldToEndLetsItsStudentsGoFirst(t *testing.T) {
	m := Start(t, "--demo")
	singapore := m.Nodes[1]
	done := startWatch(t, singapore.URL+"/whep/"+m.Room, "--token", m.Student.Token, "-n", "6", "--for", "20s")
	seated(t, m, 1, 6)
	began := time.Now()
	if err := syscall.Kill(singapore.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() string {
		if syscall.Kill(singapore.PID, 0) == nil {
			return "the node has not ended"
		}
		return ""
	})
	took := time.Since(began)
	t.Logf("the node ended after %v", took.Round(time.Millisecond))
	if took > 14*time.Second {
		t.Errorf("the node took %v to end, of a grace of 10 s", took)
	}
	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 6 || r.Nodes[singapore.ID] != 0 || r.LongestGap > 2000 {
		t.Errorf("%d joined, they watch at %v, the longest gap is %.0f ms", r.Joined, r.Nodes, r.LongestGap)
	}
}
