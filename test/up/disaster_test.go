package up

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lyceum/cmd/node"
)

// run runs the command and returns what it said. It must succeed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := Command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("lyceum %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fails runs the command, which must fail with a sentence.
func fails(t *testing.T, sentence string, args ...string) {
	t.Helper()
	out, err := Command(t, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), sentence) {
		t.Errorf("lyceum %s: %v, and it said %q, want %q", strings.Join(args, " "), err, out, sentence)
	}
}

// config is the configuration file of a node.
func config(m *Mesh, i int) string { return filepath.Join(m.Data, m.Nodes[i].ID+".yaml") }

// serve runs a node of the mesh by itself. The test's end stops it.
func serve(t *testing.T, m *Mesh, i int) *exec.Cmd {
	t.Helper()
	cmd := Command(t, "serve", "--config", config(m, i))
	log, err := os.OpenFile(m.Nodes[i].Log, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 10*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = log.Close()
		_ = cmd.Wait() // the end of the test's context has interrupted it
	})
	return cmd
}

// gone waits until a node's process is.
func gone(t *testing.T, m *Mesh, i int) {
	t.Helper()
	Eventually(t, 10*time.Second, func() string {
		if syscall.Kill(m.Nodes[i].PID, 0) == nil {
			return m.Nodes[i].ID + " is still there"
		}
		return ""
	})
}

// answers waits until lyceum with arguments succeeds and says something.
func answers(t *testing.T, want string, args ...string) {
	t.Helper()
	Eventually(t, 30*time.Second, func() string {
		out, err := Command(t, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			return fmt.Sprintf("lyceum %s: %v, and it says:\n%s", strings.Join(args, " "), err, out)
		}
		return ""
	})
}

func TestLostMajorityIsRecovered(t *testing.T) {
	m := Start(t)
	admin := m.Nodes[0].Admin
	run(t, "room", "open", "algebra", "--title", "Linear algebra", "--admin", admin)
	for i := range m.Nodes {
		answers(t, "Linear algebra", "room", "list", "--consistent", "--admin", m.Nodes[i].Admin)
	}
	snapshot := filepath.Join(t.TempDir(), "rooms")
	if out := run(t, "directory", "snapshot", snapshot, "--admin", admin); !strings.Contains(out, "the 2 rooms of cluster local") || strings.Contains(out, "no leader") {
		t.Errorf("snapshot said %q", out)
	}
	fails(t, "another process is using it", "directory", "recover", "--config", config(m, 0))

	// Two voters die with their disks. The third knows its rooms and says what is wrong.
	for i := range 2 {
		m.Kill(t, 1+i)
		gone(t, m, 1+i)
		if err := os.RemoveAll(filepath.Join(m.Data, "data", m.Nodes[1+i].ID)); err != nil {
			t.Fatal(err)
		}
	}
	answers(t, "The mesh: the directory has no majority: 1 of its 3 voters are alive", "nodes", "--admin", admin)
	answers(t, "Linear algebra", "room", "list", "--admin", admin)
	rsp, err := http.Post(admin+"/v1/rooms", "application/json", strings.NewReader(`{"name":"new"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = rsp.Body.Close()
	if rsp.StatusCode != http.StatusServiceUnavailable || rsp.Header.Get("Retry-After") == "" {
		t.Errorf("a new room gets %s, Retry-After %q", rsp.Status, rsp.Header.Get("Retry-After"))
	}
	for _, path := range []string{"/livez", "/readyz"} {
		rsp, err := http.Get(admin + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = rsp.Body.Close()
		if rsp.StatusCode != http.StatusOK {
			t.Errorf("%s is %s", path, rsp.Status)
		}
	}
	other := filepath.Join(t.TempDir(), "rooms")
	if out := run(t, "directory", "snapshot", other, "--admin", admin); !strings.Contains(out, "no leader") {
		t.Errorf("without a leader snapshot said %q", out)
	}

	// It goes on alone, and the others come back with nothing.
	m.Kill(t, 0)
	gone(t, m, 0)
	if out := run(t, "directory", "recover", "--config", config(m, 0)); !strings.Contains(out, "2 rooms are saved") {
		t.Errorf("recover said %q", out)
	}
	serve(t, m, 0)
	Eventually(t, 30*time.Second, func() string {
		out, err := Command(t, "room", "open", "new", "--admin", admin).CombinedOutput()
		if err != nil {
			return string(out)
		}
		return ""
	})
	for i := range 2 {
		if err := os.MkdirAll(filepath.Join(m.Data, "data", m.Nodes[1+i].ID), 0o700); err != nil {
			t.Fatal(err)
		}
		serve(t, m, 1+i)
	}
	Eventually(t, 60*time.Second, func() string {
		var st node.Status
		rsp, err := http.Get(m.Nodes[2].Admin + "/status")
		if err != nil {
			return err.Error()
		}
		_ = rsp.Body.Close()
		Get(t, m.Nodes[2].Admin+"/status", &st)
		if len(st.Directory.Voters) != 3 || st.Directory.Rooms != 3 {
			return fmt.Sprintf("%+v", st.Directory)
		}
		return ""
	})

	// What is closed by mistake comes back from the backup.
	run(t, "room", "close", "algebra", "--admin", admin)
	if out := run(t, "directory", "restore", snapshot, "--admin", m.Nodes[1].Admin); !strings.Contains(out, "1 of the backup's 2 rooms") {
		t.Errorf("restore said %q", out)
	}
	answers(t, "Linear algebra", "room", "list", "--consistent", "--admin", m.Nodes[2].Admin)
}

func TestBackupIsRestoredIntoAnEmptyCluster(t *testing.T) {
	m := Start(t)
	run(t, "room", "open", "algebra", "--title", "Linear algebra", "--admin", m.Nodes[0].Admin)
	snapshot := filepath.Join(t.TempDir(), "rooms")
	run(t, "directory", "snapshot", snapshot, "--admin", m.Nodes[0].Admin)
	m.KillParent(t)
	for i := range m.Nodes {
		gone(t, m, i)
	}
	fails(t, "has a directory already", "directory", "restore", snapshot, "--config", config(m, 1))
	text, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, text[:len(text)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for i, n := range m.Nodes {
		data := filepath.Join(m.Data, "data", n.ID)
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		fails(t, "the backup is cut off or was changed", "directory", "restore", broken, "--config", config(m, i))
	}
	run(t, "directory", "restore", snapshot, "--config", config(m, 1))
	for i := range m.Nodes {
		serve(t, m, i)
	}
	for i := range m.Nodes {
		answers(t, "Linear algebra", "room", "list", "--admin", m.Nodes[i].Admin)
	}
}

func TestNodeRefusesWhatItsFolderCannotBe(t *testing.T) {
	m := Start(t)
	m.KillParent(t)
	for i := range m.Nodes {
		gone(t, m, i)
	}
	refuses := func(sentence string) {
		t.Helper()
		fails(t, sentence, "serve", "--config", config(m, 0))
	}
	raft := filepath.Join(m.Data, "data", m.Nodes[0].ID, "directory", "raft")
	segments, err := filepath.Glob(filepath.Join(raft, "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	last := segments[len(segments)-1]
	good, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(good, []byte(`"room":"demo"`))
	if i < 0 {
		t.Fatal("the room is not in the log")
	}
	if err := os.WriteFile(last, good[:i], 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("is damaged or not a log")
	bad := bytes.Clone(good)
	bad[i+9] ^= 1
	if err := os.WriteFile(last, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("is damaged or not a log")

	// What another node left behind.
	if err := os.Rename(filepath.Join(m.Data, "data", m.Nodes[0].ID), filepath.Join(m.Data, "data", "aside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.Data, "data", m.Nodes[1].ID), filepath.Join(m.Data, "data", m.Nodes[0].ID)); err != nil {
		t.Fatal(err)
	}
	refuses("is the directory of node " + m.Nodes[1].ID)
}
