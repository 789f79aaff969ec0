package up

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"lyceum/cmd/node"
	"lyceum/routing/ticket"
)

func TestTeacherAtAnotherNodeIsSentToTheHomeOnce(t *testing.T) {
	m := Start(t)
	sdp := offer(t, webrtc.RTPTransceiverDirectionSendonly)
	// The first teacher's node becomes the home.
	remove(t, created(t, post(t, m.Teacher.WHIP, m.Teacher.Token, sdp), m.Teacher.WHIP))
	home := m.Teacher.WHIP
	knowsHome(t, m, 2)
	to := sentOn(t, post(t, m.Nodes[2].URL+"/whip/"+m.Room, m.Teacher.Token, sdp), home)
	if strings.Contains(to, m.Teacher.Token) {
		t.Error("the redirect shows the token")
	}
	refused(t, post(t, strings.Replace(to, m.Nodes[0].URL, m.Nodes[1].URL, 1), "", sdp), 403, "another node")
	session := created(t, post(t, to, "", sdp), home)
	refused(t, post(t, to, "", sdp), 401, "was used before")
	remove(t, session)
	// A ticket of a node that has not heard of the home must not take the room from it.
	stale, err := keys(t, m).SignTicket(ticket.Ticket{
		Subject: "test", Room: m.Room, Node: m.Nodes[2].ID, Role: ticket.Teacher, Action: ticket.Publish,
		Expires: time.Now().Add(30 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	rsp := post(t, m.Nodes[2].URL+"/whip/"+m.Room+"/ticket/"+stale, "", sdp)
	if rsp.Header.Get("Retry-After") == "" {
		t.Error("nothing says when to try again")
	}
	refused(t, rsp, 503, "another node became the home")
}

func TestKnownRoomsGoOnWithoutAMajority(t *testing.T) {
	m := Start(t)
	sdp := offer(t, webrtc.RTPTransceiverDirectionRecvonly)
	whep := m.Nodes[0].URL + "/whep/"
	all := token(t, m, "*", ticket.Student, time.Hour)
	refused(t, post(t, whep+"other", all, sdp), 404, "room other is not open")
	m.Kill(t, 1)
	m.Kill(t, 2)
	Eventually(t, 20*time.Second, func() string {
		var status node.Status
		Get(t, m.Nodes[0].Admin+"/status", &status)
		if status.Directory.Ready {
			return "the node still knows a leader"
		}
		return ""
	})
	// What is not known may be open: a client would take "not found" as final.
	refused(t, post(t, whep+"other", all, sdp), 503, "does not know room other")
	remove(t, created(t, post(t, whep+m.Room, m.Student.Token, sdp), whep+m.Room))
	var ready map[string]bool
	Get(t, m.Nodes[0].Admin+"/readyz", &ready)
}

func TestStudentFromFarAwayIsSentOnAndARestartedNodeBelievesNobody(t *testing.T) {
	m := Start(t)
	sdp := offer(t, webrtc.RTPTransceiverDirectionRecvonly)
	frankfurt, singapore := m.Nodes[0].URL+"/whep/"+m.Room, m.Nodes[1].URL+"/whep/"+m.Room

	to := sentOn(t, post(t, frankfurt, m.Student.Token, sdp, "X-Forwarded-For", mumbai), singapore)
	remove(t, created(t, post(t, to, "", sdp, "X-Forwarded-For", mumbai), singapore))
	refused(t, post(t, to, "", sdp), 401, "was used before")
	// Nobody is sent on from where they were sent, and a place that is not known is served where it asked.
	remove(t, created(t, post(t, singapore, m.Student.Token, sdp, "X-Forwarded-For", mumbai), singapore))
	remove(t, created(t, post(t, frankfurt, m.Student.Token, sdp), frankfurt))

	if out, err := Command(t, "room", "open", "algebra", "--admin", m.Nodes[0].Admin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Kill(t, 0)
	serve := Command(t, "serve", "-config", m.Data+"/frankfurt.yaml", "--http.proxies=")
	serve.Stderr = t.Output()
	serve.Cancel, serve.WaitDelay = func() error { return serve.Process.Signal(os.Interrupt) }, 10*time.Second
	if err := startAgain(t, m, func() error { return serve.Start() }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Wait() // the end of the test's context has interrupted it
		if code := serve.ProcessState.ExitCode(); code != 0 {
			t.Errorf("serve ended with %d, want success", code)
		}
	})
	Eventually(t, 15*time.Second, func() string {
		out, err := Command(t, "room", "list", "--admin", m.Nodes[0].Admin).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "algebra") || !strings.Contains(string(out), m.Room) {
			return "the restarted node's rooms are: " + string(out)
		}
		return ""
	})
	// It serves at once, from what it kept on disk and whether or not it has found the others.
	remove(t, created(t, post(t, frankfurt, m.Student.Token, sdp, "X-Forwarded-For", mumbai), frankfurt))
	Eventually(t, 15*time.Second, func() string {
		var list node.NodeList
		Get(t, m.Nodes[0].Admin+"/v1/nodes", &list)
		for _, n := range list.Nodes {
			if !n.Alive {
				return n.ID + " is not alive for the restarted node"
			}
		}
		return ""
	})
	remove(t, created(t, post(t, frankfurt, m.Student.Token, sdp, "X-Forwarded-For", mumbai), frankfurt))
}

// knowsHome waits until a node has heard from the directory that the first one is the room's home. A teacher who is
// faster is asked to try again.
func knowsHome(t *testing.T, m *Mesh, i int) {
	t.Helper()
	Eventually(t, 5*time.Second, func() string {
		var room node.RoomInfo
		Get(t, m.Nodes[i].Admin+"/v1/rooms/"+m.Room, &room)
		if room.Home != m.Nodes[0].ID {
			return "the home that " + m.Nodes[i].ID + " knows is " + room.Home
		}
		return ""
	})
}

// startAgain starts a node in the place of the one that was killed, once that is gone.
func startAgain(t *testing.T, m *Mesh, start func() error) error {
	t.Helper()
	Eventually(t, 5*time.Second, func() string {
		if syscall.Kill(m.Nodes[0].PID, 0) == nil {
			return "the killed node is still there"
		}
		return ""
	})
	return start()
}
