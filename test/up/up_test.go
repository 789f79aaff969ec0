package up

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

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

func TestRoomsOutliveTheNodes(t *testing.T) {
	dir := t.TempDir()
	m := Start(t, "--data", dir)
	open := Command(t, "room", "open", "algebra", "--title", "Linear algebra", "--admin", m.Nodes[0].Admin)
	if out, err := open.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Stop(t)
	m = Start(t, "--data", dir)
	out, err := Command(t, "room", "list", "--admin", m.Nodes[2].Admin).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Linear algebra") {
		t.Errorf("%v: after a restart the rooms are:\n%s", err, out)
	}
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

// offer is what a browser sends that wants to watch.
func offer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := pc.AddTransceiverFromKind(kind, init); err != nil {
			t.Fatal(err)
		}
	}
	sdp, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sdp.SDP
}

func TestErrorsAreSentences(t *testing.T) {
	m := Start(t, "--demo")
	post := func(url, token, body string) *http.Response {
		rq, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		rq.Header.Set("Content-Type", "application/sdp")
		if token != "" {
			rq.Header.Set("Authorization", "Bearer "+token)
		}
		rsp, err := http.DefaultClient.Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rsp.Body.Close() })
		return rsp
	}
	sdp := offer(t)
	big := strings.Repeat("a", 1<<20)
	for name, c := range map[string]struct {
		url, token, body string
		status           int
	}{
		"no token":                {m.Student.WHEP, "", sdp, 401},
		"not a token":             {m.Student.WHEP, "hello", sdp, 401},
		"another room":            {m.Nodes[0].URL + "/whep/other", m.Student.Token, sdp, 403},
		"a student who publishes": {m.Teacher.WHIP, m.Student.Token, sdp, 403},
		"no SDP":                  {m.Student.WHEP, m.Student.Token, "hello world", 400},
		"too much SDP":            {m.Student.WHEP, m.Student.Token, big, 413},
		"a bad ticket":            {m.Student.WHEP + "/ticket/abc", "", sdp, 401},
	} {
		t.Run(name, func(t *testing.T) {
			rsp := post(c.url, c.token, c.body)
			var problem struct{ Title, Detail string }
			if err := json.NewDecoder(rsp.Body).Decode(&problem); err != nil {
				t.Fatal(err)
			}
			if rsp.StatusCode != c.status || problem.Detail == "" {
				t.Errorf("%s %+v, want %d and a sentence", rsp.Status, problem, c.status)
			}
		})
	}
}

func TestServeRefusesWithASentence(t *testing.T) {
	m := Start(t)
	config := func(change func(string) string) string {
		text, err := os.ReadFile(m.Data + "/frankfurt.yaml")
		if err != nil {
			t.Fatal(err)
		}
		path := t.TempDir() + "/node.yaml"
		if err := os.WriteFile(path, []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	same := func(s string) string { return s }
	for name, c := range map[string]struct {
		cmd  *exec.Cmd
		want string
	}{
		"port in use":         {Command(t, "serve", "-config", config(same)), "is in use"},
		"unknown key":         {Command(t, "serve", "-config", config(func(s string) string { return s + "\nseets: 3\n" })), "nearest is seats"},
		"missing GeoIP":       {Command(t, "check", "-config", config(same), "--geo.database=missing.mmdb"), "missing.mmdb"},
		"corrupt GeoIP":       {Command(t, "check", "-config", config(same), "--geo.database="+config(same)), "node.yaml"},
		"unreadable key":      {Command(t, "check", "-config", config(same), "--tokens.keys=missing.pem"), "missing.pem"},
		"another cluster":     {Command(t, "check", "-config", config(same), "--cluster=campus"), "is of cluster local"},
		"another node's name": {Command(t, "check", "-config", config(same), "--node=oslo", "--directory.voters=oslo"), "is of node frankfurt"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := c.cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s\nwant %q", err, out, c.want)
			}
		})
	}
}
