package up

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lyceum/cmd/client"
	"lyceum/cmd/node"
)

// watch runs lyceum watch and returns its report.
func watch(t *testing.T, args ...string) client.Report {
	t.Helper()
	out, err := startWatch(t, args...)()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// startWatch starts lyceum watch and returns a function that waits for its report.
func startWatch(t *testing.T, args ...string) func() (client.Report, error) {
	t.Helper()
	cmd := Command(t, append([]string{"watch", "--json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (client.Report, error) {
		var r client.Report
		if err := cmd.Wait(); err != nil {
			t.Logf("lyceum watch said: %s", stderr.String())
			return r, err
		}
		err := json.Unmarshal(stdout.Bytes(), &r)
		t.Logf("lyceum watch: %s", stdout.String())
		return r, err
	}
}

func TestTwentyStudentsAtANodeThatIsNotTheHome(t *testing.T) {
	m := Start(t, "--demo")
	t.Logf("ready after %v", m.Took)
	whep := m.Nodes[1].URL + "/whep/" + m.Room
	r := watch(t, whep, "--token", m.Student.Token, "-n", "20", "--for", "10s")
	if r.Students != 20 || r.Joined != 20 || r.Failed != 0 {
		t.Errorf("%d of %d students joined, %d failed: %v", r.Joined, r.Students, r.Failed, r.Failures)
	}
	if r.Lost != 0 || r.Packets == 0 {
		t.Errorf("%d packets lost, %d received", r.Lost, r.Packets)
	}
	if r.Nodes[m.Nodes[1].ID] != 20 {
		t.Errorf("the students watched at %v, want all at %s", r.Nodes, m.Nodes[1].ID)
	}
	var tree node.Tree
	Get(t, m.Nodes[0].Admin+"/v1/rooms/"+m.Room+"/tree", &tree)
	for _, n := range tree.Nodes {
		if n.ID == m.Nodes[2].ID {
			t.Errorf("%s carries the room and none of its students", n.ID)
		}
	}
}

func TestStudentsGoOnWhenTheirNodeIsKilled(t *testing.T) {
	m := Start(t, "--demo")
	whep := m.Nodes[1].URL + "/whep/" + m.Room
	done := startWatch(t, whep, "--token", m.Student.Token, "-n", "5", "--for", "20s")
	Eventually(t, 15*time.Second, func() string {
		var tree node.Tree
		Get(t, m.Nodes[0].Admin+"/v1/rooms/"+m.Room+"/tree", &tree)
		if tree.Students != 5 {
			return "not all students have joined"
		}
		return ""
	})
	m.Kill(t, 1)
	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 5 || r.Reconnects < 5 {
		t.Errorf("%d joined and %d reconnected, want 5 and 5: %v", r.Joined, r.Reconnects, r.Failures)
	}
	if r.LongestGap > 8000 {
		t.Errorf("students were without media for %.0f ms", r.LongestGap)
	}
	if r.Nodes[m.Nodes[1].ID] != 0 {
		t.Errorf("students are counted at the node that was killed: %v", r.Nodes)
	}
}

func TestStudentsWaitWhileTheirTeacherIsGone(t *testing.T) {
	m := Start(t)
	live := func(want bool) {
		t.Helper()
		Eventually(t, 20*time.Second, func() string {
			var room node.RoomInfo
			Get(t, m.Nodes[0].Admin+"/v1/rooms/"+m.Room, &room)
			if room.Live != want {
				return fmt.Sprintf("the room is live: %t, want %t", room.Live, want)
			}
			return ""
		})
	}
	publish := func() (end func()) {
		cmd := Command(t, "publish", m.Teacher.WHIP, "--token", m.Teacher.Token)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		live(true)
		return func() {
			_ = cmd.Process.Signal(os.Interrupt) // it runs
			_ = cmd.Wait()
		}
	}
	end := publish()
	done := startWatch(t, m.Student.WHEP, "--token", m.Student.Token, "-n", "3", "--for", "15s")
	Eventually(t, 10*time.Second, func() string {
		var tree node.Tree
		Get(t, m.Nodes[0].Admin+"/v1/rooms/"+m.Room+"/tree", &tree)
		if tree.Students != 3 {
			return "not all students have joined"
		}
		return ""
	})
	end()
	live(false)
	const pause = 2 * time.Second
	<-time.After(pause) // the class has a break
	defer publish()()
	r, err := done()
	if err != nil {
		t.Fatal(err)
	}
	if r.Joined != 3 || r.Watching != 3 || r.Reconnects != 0 {
		t.Errorf("%d joined, %d watch, %d sessions were made anew; want 3, 3 and none: %v", r.Joined, r.Watching, r.Reconnects, r.Failures)
	}
	// A gap that ended before the end is one that they came out of.
	if gap := time.Duration(r.LongestGap) * time.Millisecond; gap < pause || gap > 10*time.Second {
		t.Errorf("the longest gap is %v, of a break of %v", gap, pause)
	}
}

func TestRoomsOutliveTheNodes(t *testing.T) {
	dir := t.TempDir()
	m := Start(t, "--data", dir)
	open := Command(t, "room", "open", "algebra", "--title", "Linear algebra", "--admin", m.Nodes[0].Admin)
	if out, err := open.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Stop(t)
	m = Start(t, "--data", dir)
	// A node that was stopped before it heard of the room hears of it from the others.
	Eventually(t, 10*time.Second, func() string {
		out, err := Command(t, "room", "list", "--admin", m.Nodes[2].Admin).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Linear algebra") {
			return fmt.Sprintf("%v: after a restart the rooms are:\n%s", err, out)
		}
		return ""
	})
}

func TestNothingOutlivesAKilledParent(t *testing.T) {
	m := Start(t, "--demo")
	m.KillParent(t)
	for _, n := range m.Nodes {
		Eventually(t, 15*time.Second, func() string {
			if syscall.Kill(n.PID, 0) == nil {
				return "node " + n.ID + " still runs"
			}
			return ""
		})
	}
}

func TestAllEndsWithAnInterruptAndNothingIsDrawnInAPipe(t *testing.T) {
	dir := t.TempDir()
	cmd := Command(t, "up", "--data", dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := make(chan string, 1)
	go func() {
		var b strings.Builder
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			b.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), "Room demo waits") {
				printed <- b.String()
			}
		}
	}()
	var text string
	select {
	case text = <-printed:
	case <-time.After(readyWithin):
		t.Fatal("lyceum up did not tell of the room")
	}
	for _, want := range []string{"/teach/demo#token=", "/watch/demo#token=", dir + "/seats.txt", dir + "/logs", "frankfurt"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in what it printed:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("colours or cursor movements in a pipe:\n%q", text)
	}
	info, err := os.Stat(dir + "/seats.txt")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the seats: %v %v, want one for its owner alone", info, err)
	}
	var status node.Status
	_, port, _ := strings.Cut(text, "http://127.0.0.1:")
	var base int
	if _, err := fmt.Sscanf(port, "%d/teach", &base); err != nil {
		t.Fatal(err)
	}
	admin := fmt.Sprintf("http://127.0.0.1:%d/status", base+1)
	Get(t, admin, &status)
	_ = cmd.Process.Signal(os.Interrupt) // it runs
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt it ended with %v, want success", err)
	}
	if rsp, err := http.Get(admin); err == nil {
		_ = rsp.Body.Close()
		t.Error("a node still answers")
	}
}
