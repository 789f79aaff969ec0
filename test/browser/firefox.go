package browser

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// firefoxPrefs let Firefox use fake devices, play by itself, and keep to this machine.
const firefoxPrefs = `user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("marionette.port", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.server", "");
user_pref("app.normandy.enabled", false);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:1");
`

// FindFirefox returns Firefox's program, "" where there is none.
func FindFirefox() string {
	for _, name := range []string{"firefox-esr", "firefox"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// OpenFirefox starts Firefox with a fake camera and microphone and opens a page in it. Of the screen, only the size counts.
func OpenFirefox(t testing.TB, name, url string, screen Screen) *Tab {
	t.Helper()
	m := startFirefox(t, screen)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.call(ctx, "WebDriver:NewSession", map[string]any{"strictFileInteractability": true}, nil); err != nil {
		t.Fatalf("begin a session with Firefox: %v", err)
	}
	// An element that is to be clicked is waited for.
	_ = m.call(ctx, "WebDriver:SetTimeouts", map[string]any{
		"script": patience.Milliseconds(), "implicit": glance.Milliseconds(),
	}, nil) // the defaults serve in most cases too
	if err := m.call(ctx, "WebDriver:Navigate", map[string]any{"url": url}, nil); err != nil {
		t.Fatalf("open the page in Firefox: %v", err)
	}
	return &Tab{
		t: t, name: name,
		evaluate: func(ctx context.Context, script string) (text string, err error) {
			err = m.call(ctx, "WebDriver:ExecuteScript", map[string]any{"script": "return " + script, "args": []any{}}, &text)
			return text, err
		},
		picture: func(ctx context.Context) ([]byte, error) {
			var text string
			if err := m.call(ctx, "WebDriver:TakeScreenshot", map[string]any{"full": false}, &text); err != nil {
				return nil, err
			}
			return base64.StdEncoding.DecodeString(text)
		},
		click: func(ctx context.Context, selector string) error {
			var element map[string]string
			find := map[string]any{"using": "css selector", "value": selector}
			if err := m.call(ctx, "WebDriver:FindElement", find, &element); err != nil {
				return err
			}
			for _, id := range element {
				return m.call(ctx, "WebDriver:ElementClick", map[string]any{"id": id}, nil)
			}
			return errors.New("no element was found by Firefox")
		},
		reload: func(ctx context.Context) error { return m.call(ctx, "WebDriver:Refresh", nil, nil) },
	}
}

// marionette speaks with Firefox by its own protocol: messages of JSON, each with its length in front, over TCP.
type marionette struct {
	conn net.Conn
	in   *bufio.Reader

	mu sync.Mutex // one call at a time
	// Guarded by mu.
	id int
}

// startFirefox starts the program with a profile of its own. The test's end ends it.
func startFirefox(t testing.TB, screen Screen) *marionette {
	t.Helper()
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(FindFirefox(), "--headless", "--no-remote", "--marionette", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_HEADLESS_WIDTH="+strconv.FormatInt(screen.Width, 10),
		"MOZ_HEADLESS_HEIGHT="+strconv.FormatInt(screen.Height, 10))
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Firefox: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		// Firefox writes the port that it took into its profile.
		port, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		if err == nil {
			var conn net.Conn
			if conn, err = net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(port))); err == nil {
				t.Cleanup(func() { _ = conn.Close() })
				m := &marionette{conn: conn, in: bufio.NewReader(conn)}
				if _, err = m.read(); err == nil { // its greeting
					return m
				}
			}
		}
		select {
		case <-deadline:
			t.Fatalf("Firefox does not answer: %v", err)
		case <-tick.C:
		}
	}
}

// read reads one message.
func (m *marionette) read() ([]byte, error) {
	size, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		return nil, fmt.Errorf("length of a message: %w", err)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(m.in, text)
	return text, err
}

// call runs one command and reads the value of its answer into v, which may be nil. A call whose deadline passes breaks the
// conversation: the calls after it fail too.
func (m *marionette) call(ctx context.Context, command string, parameters any, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		_ = m.conn.SetDeadline(deadline) // a closed connection is told by the next write
	}
	m.id++
	if parameters == nil {
		parameters = struct{}{}
	}
	text, err := json.Marshal([]any{0, m.id, command, parameters})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(text), text); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if text, err = m.read(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	var kind, id int
	var failed *struct{ Error, Message string }
	var value json.RawMessage
	if err := json.Unmarshal(text, &[]any{&kind, &id, &failed, &value}); err != nil {
		return fmt.Errorf("%s: read %q: %w", command, text, err)
	}
	if id != m.id {
		return fmt.Errorf("%s: answer to command %d came instead of %d", command, id, m.id)
	}
	if failed != nil {
		return fmt.Errorf("%s: %s: %s", command, failed.Error, failed.Message)
	}
	if v == nil {
		return nil
	}
	var wrapped struct{ Value json.RawMessage }
	if json.Unmarshal(value, &wrapped) == nil && wrapped.Value != nil {
		value = wrapped.Value
	}
	if err := json.Unmarshal(value, v); err != nil {
		return fmt.Errorf("%s: read %s: %w", command, value, err)
	}
	return nil
}
