package whep

import (
	"bufio"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listen opens the stream of a session's events as the draft has it, and returns its lines.
func (n *node) listen(created *http.Response) *bufio.Scanner {
	n.t.Helper()
	link := regexp.MustCompile(`^<(.*)>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="reconnect"$`).
		FindStringSubmatch(created.Header.Get("Link"))
	if link == nil {
		n.t.Fatalf("the events are announced by %q", created.Header.Get("Link"))
	}
	resp, text := n.do("POST", link[1], `["reconnect"]`, http.Header{"Content-Type": {"application/json"}})
	if resp.StatusCode != 201 {
		n.t.Fatalf("events: %s %s", resp.Status, text)
	}
	at, err := resp.Location()
	if err != nil {
		n.t.Fatal(err)
	}
	stream, err := http.Get(at.String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = stream.Body.Close() })
	if stream.StatusCode != 200 || stream.Header.Get("Content-Type") != "text/event-stream" {
		n.t.Fatalf("the stream of events: %s %v", stream.Status, stream.Header)
	}
	return bufio.NewScanner(stream.Body)
}

// next returns the next line that begins with a word, or "" at the end.
func next(lines *bufio.Scanner, word string) string {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), word) {
			return lines.Text()
		}
	}
	return ""
}

func TestWhoListensIsAskedToReconnectAndHasTime(t *testing.T) {
	n := newNode(t, 0)
	resp, text := n.post(offerOf(t, newPlayer(t), nil))
	if resp.StatusCode != 201 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	lines := n.listen(resp)
	next(lines, "retry") // it is heard by now
	const grace = 300 * time.Millisecond
	asked := time.Now()
	if !n.edge.SendAway(grace) || n.edge.Staying() != 0 {
		t.Fatal("nobody was asked to go")
	}
	if n.edge.SendAway(grace) {
		t.Error("the same subscriber was asked twice")
	}
	if got := next(lines, "event"); got != "event: reconnect" {
		t.Errorf("the player heard %q", got)
	}
	if n.edge.Sessions() != 1 && time.Since(asked) < grace {
		t.Error("the session ended at once")
	}
	if got := next(lines, "event"); got != "" {
		t.Errorf("the stream goes on with %q", got)
	}
	if took := time.Since(asked); took < grace {
		t.Errorf("the stream and the session ended after %v, before the grace time", took)
	}
	until(t, "the end of a player that ignores it", func() bool { return n.edge.Sessions() == 0 })
}

func TestWhoDoesNotListenIsSentAwayAtOnce(t *testing.T) {
	n := newNode(t, 0)
	if resp, text := n.post(offerOf(t, newPlayer(t), nil)); resp.StatusCode != 201 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	n.edge.SendAway(time.Hour)
	until(t, "the end", func() bool { return n.edge.Sessions() == 0 })
}

func TestEventsAreBounded(t *testing.T) {
	n := newNode(t, 0)
	resp, _ := n.post(offerOf(t, newPlayer(t), nil))
	session := resp.Header.Get("Location")
	json := http.Header{"Content-Type": {"application/json"}}
	for name, c := range map[string]struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		"all events":       {"POST", "/sse", "", nil, 201},
		"not a list":       {"POST", "/sse", "{}", json, 400},
		"not JSON":         {"POST", "/sse", "[]", http.Header{"Content-Type": {"text/plain"}}, 415},
		"too long":         {"POST", "/sse", strings.Repeat(" ", 129<<10), json, 413},
		"read at sse":      {"GET", "/sse", "", nil, 405},
		"written to":       {"POST", "/events", "", nil, 405},
		"something else":   {"GET", "/chat", "", nil, 404},
		"another sessions": {"GET", "x/events", "", nil, 404},
	} {
		if resp, text := n.do(c.method, session+c.path, c.body, c.header); resp.StatusCode != c.want {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		}
	}
	next(n.listen(resp), "retry")
	next(n.listen(resp), "retry")
	if resp, text := n.do("GET", session+"/events", "", nil); resp.StatusCode != 429 {
		t.Errorf("a third reader of one session's events: %s %s", resp.Status, text)
	}
}
