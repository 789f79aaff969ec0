package browser

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

//go:embed bench
var bench embed.FS

// ServeBench serves a page with a teacher and students that a test moves as it likes. Our own pages show a class; this one
// shows what a decoder makes of it.
func ServeBench(t testing.TB) string {
	t.Helper()
	files, err := fs.Sub(bench, "bench")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServerFS(files))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// Seen is what one student of a bench has seen, and what their browser says of it.
type Seen struct {
	Connection string  `json:"connection"`
	Codec      string  `json:"codec"`
	Shown      int     `json:"shown"`  // pictures
	Wrong      int     `json:"wrong"`  // pictures that no teacher drew
	Back       int     `json:"back"`   // pictures that are older than the one before
	First      float64 `json:"first"`  // from the wish to the first picture, ms
	Gap        float64 `json:"gap"`    // the longest time without a new picture since the last mark, ms
	Source     int     `json:"source"` // who drew the newest picture, -1 before the first
	Width      int     `json:"width"`
	Delay      float64 `json:"delay"` // from the drawing to the showing of the newest picture, ms, by steps of 67
	Time       float64 `json:"time"`  // of the video element, s
	Error      string  `json:"error"` // of the video element

	SoundPackets int `json:"soundPackets"`
	SoundLost    int `json:"soundLost"`

	// As in getStats.
	PacketsReceived  int     `json:"packetsReceived"`
	PacketsLost      int     `json:"packetsLost"`
	FramesReceived   int     `json:"framesReceived"`
	FramesDecoded    int     `json:"framesDecoded"`
	KeyFramesDecoded int     `json:"keyFramesDecoded"`
	FramesDropped    int     `json:"framesDropped"`
	FreezeCount      int     `json:"freezeCount"`
	FreezesDuration  float64 `json:"totalFreezesDuration"`
	PLICount         int     `json:"pliCount"`
	NACKCount        int     `json:"nackCount"`
}

// Ask evaluates an expression of the bench, which may be a promise, and reads its value into v, which may be nil.
func (b *Tab) Ask(v any, format string, args ...any) error {
	for i, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		args[i] = string(text)
	}
	expression := fmt.Sprintf(format, args...)
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	text, err := b.evaluate(ctx, `(async () => { try { return JSON.stringify({ value: await (`+expression+`) }) } `+
		`catch (e) { return JSON.stringify({ failed: String(e) }) } })()`)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", b.name, format, err)
	}
	var answer struct {
		Value  json.RawMessage `json:"value"`
		Failed string          `json:"failed"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return fmt.Errorf("%s: %s: read %q: %w", b.name, format, text, err)
	}
	if answer.Failed != "" {
		return fmt.Errorf("%s: %s: %s", b.name, format, answer.Failed)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Value, v); err != nil {
		return fmt.Errorf("%s: %s: read %s: %w", b.name, format, answer.Value, err)
	}
	return nil
}

// Do is Ask for what must succeed.
func (b *Tab) Do(v any, format string, args ...any) {
	b.t.Helper()
	if err := b.Ask(v, format, args...); err != nil {
		b.t.Fatal(err)
	}
}

// Look asks what the students of a bench have seen.
func (b *Tab) Look() map[string]Seen {
	b.t.Helper()
	var seen map[string]Seen
	b.Do(&seen, `students.look()`)
	return seen
}

// UntilSeen waits until a student of a bench has seen something.
func (b *Tab) UntilSeen(student, what string, within time.Duration, ok func(Seen) bool) (Seen, error) {
	b.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		s := b.Look()[student]
		if ok(s) {
			return s, nil
		}
		select {
		case <-deadline:
			return s, fmt.Errorf("%s's %s student never saw %s: %+v", b.name, student, what, s)
		case <-tick.C:
		}
	}
}

// OwnAddress returns an address of this machine that is not a loopback one, "" where it has none. Packets to it stay inside
// the machine.
func OwnAddress(t testing.TB) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	return ""
}
