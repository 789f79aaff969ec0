package up

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/quic-go/quic-go"

	"lyceum/cmd/node"
	"lyceum/routing/ticket"
)

func TestErrorsAreSentences(t *testing.T) {
	m := Start(t, "--demo")
	watching, teaching := offer(t, webrtc.RTPTransceiverDirectionRecvonly), offer(t, webrtc.RTPTransceiverDirectionSendonly)
	big := strings.Repeat("a", 1<<20)
	expired, err := keys(t, m).SignTicket(ticket.Ticket{
		Subject: "test", Room: m.Room, Node: m.Nodes[1].ID, Role: ticket.Student, Action: ticket.Watch,
		Expires: time.Now().Add(-time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url, token, body string
		status           int
		sentence         string
	}{
		"no token":                {m.Student.WHEP, "", watching, 401, "no token was sent"},
		"not a token":             {m.Student.WHEP, "hello", watching, 401, "malformed"},
		"a token that is over":    {m.Student.WHEP, token(t, m, m.Room, ticket.Student, -time.Hour), watching, 401, "expired"},
		"another room":            {m.Nodes[0].URL + "/whep/other", m.Student.Token, watching, 403, "another room"},
		"an unknown room":         {m.Nodes[0].URL + "/whep/other", token(t, m, "*", ticket.Student, time.Hour), watching, 404, "room other is not open"},
		"an unknown room, taught": {m.Nodes[0].URL + "/whip/other", token(t, m, "*", ticket.Teacher, time.Hour), teaching, 404, "room other is not open"},
		"a student who publishes": {m.Teacher.WHIP, m.Student.Token, teaching, 403, "student"},
		"a second teacher":        {m.Teacher.WHIP, m.Teacher.Token, teaching, 409, "teacher"},
		"no SDP":                  {m.Student.WHEP, m.Student.Token, "hello world", 400, "SDP"},
		"too much SDP":            {m.Student.WHEP, m.Student.Token, big, 413, "larger than"},
		"no SDP of a teacher":     {m.Teacher.WHIP, m.Teacher.Token, "hello world", 400, "SDP"},
		"too much of a teacher":   {m.Teacher.WHIP, m.Teacher.Token, big, 413, "larger than"},
		"a bad ticket":            {m.Student.WHEP + "/ticket/abc", "", watching, 401, "malformed"},
		"a ticket that is over":   {m.Student.WHEP + "/ticket/" + expired, "", watching, 401, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, post(t, c.url, c.token, c.body), c.status, c.sentence)
		})
	}
	t.Run("a second teacher at another node", func(t *testing.T) {
		knowsHome(t, m, 2)
		to := sentOn(t, post(t, m.Nodes[2].URL+"/whip/"+m.Room, m.Teacher.Token, teaching), m.Teacher.WHIP)
		refused(t, post(t, to, "", teaching), 409, "teacher")
	})
	t.Run("a page that an operator looks at", func(t *testing.T) {
		rsp := post(t, m.Nodes[0].Admin+"/v1/rooms", "", `{"name":"forged"}`, "Origin", "https://evil.example", "Content-Type", "text/plain")
		refused(t, rsp, 403, "another origin")
	})
}

// change writes a copy of a node's generated configuration.
func change(t *testing.T, m *Mesh, from, to string) (path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.Data, "frankfurt.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// strange makes the secrets of another cluster of the same name, and a certificate of a node of the same name.
func strange(t *testing.T, cluster string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "pki")
	for _, args := range [][]string{{"pki", "init", dir, "--cluster", cluster}, {"pki", "issue", dir, "frankfurt"}} {
		if out, err := Command(t, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

func TestServeRefusesWithASentence(t *testing.T) {
	m := Start(t)
	good := change(t, m, "", "")
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("no file of this kind"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, twin := strange(t, "other"), strange(t, "local")
	free := []string{
		"--http.listen=127.0.0.1:0", "--http.url=http://127.0.0.1:1", "--admin.listen=127.0.0.1:0", "--webrtc.listen=127.0.0.1:0",
		"--mesh.listen=127.0.0.1:0", "--gossip.listen=127.0.0.1:0", "--data=" + t.TempDir(),
	}
	serve := func(args ...string) *exec.Cmd {
		return Command(t, append(append([]string{"serve", "-config", good}, free...), args...)...)
	}
	check := func(args ...string) *exec.Cmd {
		return Command(t, append([]string{"check", "-config", good}, args...)...)
	}
	for name, c := range map[string]struct {
		cmd  *exec.Cmd
		want string
	}{
		"port in use":            {Command(t, "serve", "-config", good), "http.listen: port TCP " + strings.TrimPrefix(m.Nodes[0].URL, "http://") + " is in use"},
		"unknown key":            {Command(t, "serve", "-config", change(t, m, "region:", "regoin:")), "key regoin does not exist; the nearest is region"},
		"missing configuration":  {Command(t, "serve", "-config", "missing.yaml"), "there is no configuration file missing.yaml"},
		"missing GeoIP":          {serve("--geo.database=missing.mmdb"), "the GeoIP database missing.mmdb does not exist"},
		"corrupt GeoIP":          {serve("--geo.database=" + junk), "no whole .mmdb file"},
		"missing token keys":     {serve("--tokens.keys=missing.pem"), "missing.pem: no such file"},
		"corrupt token keys":     {serve("--tokens.keys=" + junk), "no PEM key"},
		"unreadable node key":    {serve("--pki.key=" + t.TempDir()), "is a directory"},
		"corrupt gossip key":     {serve("--gossip.key=" + junk), "does not hold 32 bytes"},
		"another cluster's node": {serve("--pki.certificate="+other+"/frankfurt.pem", "--pki.key="+other+"/frankfurt.key"), "cluster other"},
		"another cluster's node with its authority": {
			serve("--pki.certificate="+other+"/frankfurt.pem", "--pki.key="+other+"/frankfurt.key", "--pki.authority="+other+"/ca.pem"),
			"is of cluster other, and this node is of cluster local",
		},
		"a cluster of the same name":  {serve("--pki.certificate="+twin+"/frankfurt.pem", "--pki.key="+twin+"/frankfurt.key"), "was not issued by this authority"},
		"another node's name":         {serve("--node=oslo", "--directory.voters=oslo"), "is of node frankfurt"},
		"check: missing GeoIP":        {check("--geo.database=missing.mmdb"), "# WRONG  geo: the GeoIP database missing.mmdb does not exist"},
		"check: corrupt GeoIP":        {check("--geo.database=" + junk), "# WRONG  geo"},
		"check: missing token keys":   {check("--tokens.keys=missing.pem"), "# WRONG  tokens.keys"},
		"check: another cluster":      {check("--cluster=campus"), "is of cluster local"},
		"check: a missing HTTPS file": {check("--http.certificate=missing.pem", "--http.key="+junk), "# WRONG  http.certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := c.cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "goroutine ") {
				t.Errorf("%v: %s\nwant %q", err, out, c.want)
			}
		})
	}
	t.Run("check of a good configuration", func(t *testing.T) {
		out, err := check().CombinedOutput()
		if err != nil || !strings.Contains(string(out), "# ok     pki: node frankfurt of cluster local") || strings.Contains(string(out), "PRIVATE") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func TestANodeOfAnotherClusterIsNotLetIn(t *testing.T) {
	m := Start(t)
	var list node.NodeList
	Get(t, m.Nodes[0].Admin+"/v1/nodes", &list)
	for name, dir := range map[string]string{
		"our own": m.Data + "/pki", "another cluster": strange(t, "other"), "a cluster of the same name": strange(t, "local"),
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(dir+"/frankfurt.pem", dir+"/frankfurt.key")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for _, alpn := range []string{"cascade/1", "raft/1", "directory/1", "node/1"} {
				err := knock(ctx, list.Nodes[1].Link, &tls.Config{
					InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: []string{alpn},
				})
				if in := err == nil; in != (name == "our own") {
					t.Errorf("%s: let in: %t (%v)", alpn, in, err)
				}
			}
		})
	}
}

// knock opens a connection, and finds out whether the node keeps it. A refused certificate shows only after the handshake
// has succeeded on this side.
func knock(ctx context.Context, addr string, cfg *tls.Config) error {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer udp.Close()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	conn, err := quic.Dial(ctx, udp, to, cfg, &quic.Config{})
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	select {
	case <-conn.Context().Done():
		return context.Cause(conn.Context())
	case <-time.After(300 * time.Millisecond): // far more than the node's answer takes on loopback
		return nil
	}
}
