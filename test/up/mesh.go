package up

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyWithin bounds the start of a mesh, generously: a loaded machine with two cores runs it.
const readyWithin = 90 * time.Second

// Mesh is a running lyceum up.
type Mesh struct {
	Room  string
	Data  string
	Nodes []struct {
		ID, Region, URL, Admin, Log string
		PID                         int
	}
	Teacher struct{ WHIP, Token, Page string }
	Student struct{ WHEP, Token, Page string }

	// Took is the time from the start of the command to its ready line.
	Took time.Duration `json:"-"`

	cmd *exec.Cmd
	// end asks the command to end, once: the second time it would not end its nodes in order.
	end func() error
}

// Binary builds the command once for all tests of a process and returns its path.
var Binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lyceum-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lyceum")
	out, err := exec.Command("go", "build", "-o", path, "lyceum/cmd/lyceum").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build lyceum: %w\n%s", err, out)
	}
	return path, nil
})

// Command is the command with arguments, ready to run.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), binary, args...)
}

// Start runs lyceum up --json with more arguments and waits until it is ready. The test's end stops it.
func Start(t testing.TB, args ...string) *Mesh {
	t.Helper()
	m := &Mesh{cmd: Command(t, append([]string{"up", "--json", "--data", t.TempDir()}, args...)...)}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	m.cmd.Stderr = &stderr
	m.end = sync.OnceValue(func() error { return m.cmd.Process.Signal(syscall.SIGTERM) })
	m.cmd.Cancel = m.end
	m.cmd.WaitDelay = 20 * time.Second
	began := time.Now()
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range m.Nodes {
				t.Logf("log of %s:\n%s", n.ID, tail(n.Log))
			}
		}
		m.Stop(t)
	})
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
		_, _ = io.Copy(io.Discard, stdout)
	}()
	select {
	case text := <-line:
		if err := json.Unmarshal([]byte(text), m); err != nil {
			t.Fatalf("lyceum up printed %q (%v) and said: %s", text, err, stderr.String())
		}
	case <-time.After(readyWithin):
		t.Fatalf("lyceum up is not ready after %v; it said: %s", readyWithin, stderr.String())
	}
	m.Took = time.Since(began)
	return m
}

// Stop ends the mesh and waits for it. It may be called more than once.
func (m *Mesh) Stop(t testing.TB) {
	if m.cmd.ProcessState != nil {
		return
	}
	_ = m.end() // it may have ended
	if err := m.cmd.Wait(); err != nil {
		t.Logf("lyceum up ended: %v", err)
	}
}

// KillParent ends lyceum up as a crash would.
func (m *Mesh) KillParent(t testing.TB) {
	t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait() // it was killed
}

// Kill ends a node's process as a crash would.
func (m *Mesh) Kill(t testing.TB, i int) {
	t.Helper()
	if err := syscall.Kill(m.Nodes[i].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Get fetches JSON from a URL into v.
func Get(t testing.TB, url string, v any) {
	t.Helper()
	rsp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, rsp.Status)
	}
	if err := json.NewDecoder(rsp.Body).Decode(v); err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
}

// Eventually waits until f returns "", and fails with what it last returned.
func Eventually(t testing.TB, within time.Duration, f func() string) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		wrong := f()
		if wrong == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after %v: %s", within, wrong)
		case <-tick.C:
		}
	}
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
