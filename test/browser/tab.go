package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// artefacts is the folder, beside the tests, in which screenshots are kept.
	artefacts = "artefacts"
	// patience bounds every wait, generously: on two busy cores a browser is slow.
	patience = 90 * time.Second
	// glance bounds one question to a page. A page that is being loaded answers none, and is asked again.
	glance = 10 * time.Second
)

// Tab is one page in a browser of its own, so that a tab in the background is never throttled.
type Tab struct {
	t    testing.TB
	name string

	// evaluate runs a script that ends in a promise of a string.
	evaluate func(ctx context.Context, script string) (string, error)
	// picture answers a PNG of what the page shows.
	picture func(ctx context.Context) ([]byte, error)
	click   func(ctx context.Context, selector string) error
	reload  func(ctx context.Context) error
}

// State is what window.lyceum.state() tells of a page.
type State struct {
	Page          string   `json:"page"`
	Status        string   `json:"status"`
	Node          string   `json:"node"`
	FramesDecoded int      `json:"framesDecoded"`
	AudioLevel    float64  `json:"audioLevel"`
	Width         int      `json:"width"`
	Moves         int      `json:"moves"`
	Students      int      `json:"students"`
	Screen        string   `json:"screen"`
	ScreenWidth   int      `json:"screenWidth"`
	ScreenFrames  int      `json:"screenFrames"`
	ScreenLayers  []string `json:"screenLayers"`
	Large         string   `json:"large"`
	Error         string   `json:"error"`
}

// Click waits for an element and clicks it as a person would.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.click(ctx, selector); err != nil {
		b.Screenshot(b.failure())
		b.t.Fatalf("%s: click %s: %v", b.name, selector, err)
	}
}

// Reload loads the page again, as a person does who hopes that it helps.
func (b *Tab) Reload() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.reload(ctx); err != nil {
		b.t.Fatalf("%s: reload the page: %v", b.name, err)
	}
}

// state reads the page's state; the error says why it cannot be read now.
func (b *Tab) state() (s State, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), glance)
	defer cancel()
	text, err := b.evaluate(ctx, `(async () => JSON.stringify(window.lyceum ? await window.lyceum.state() : {}))()`)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read %q: %w", text, err)
	}
	return s, nil
}

// Until waits for a state.
func (b *Tab) Until(what string, ok func(State) bool) State {
	b.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		s, err := b.state()
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-deadline:
			b.Screenshot(b.failure())
			b.t.Fatalf("%s never showed %s; it shows %+v (%v)", b.name, what, s, err)
		case <-tick.C:
		}
	}
}

// UntilMoving waits until a picture moves: this many more frames are decoded from now on.
func (b *Tab) UntilMoving(frames int) State {
	b.t.Helper()
	first := b.Until("a picture", func(s State) bool { return s.Status == "live" && s.FramesDecoded > 0 })
	return b.Until("that the picture moves", func(s State) bool {
		// A new session counts from zero.
		if s.Moves != first.Moves || s.FramesDecoded < first.FramesDecoded {
			first = s
		}
		return s.Status == "live" && s.FramesDecoded >= first.FramesDecoded+frames
	})
}

// UntilHas waits until the page has an element.
func (b *Tab) UntilHas(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	script := fmt.Sprintf(`(async () => String(document.querySelector(%q) !== null))()`, selector)
	for {
		text, err := b.evaluate(ctx, script)
		if err == nil && text == "true" {
			return
		}
		select {
		case <-ctx.Done():
			b.Screenshot(b.failure())
			b.t.Fatalf("%s never showed %s (%v)", b.name, selector, err)
		case <-tick.C:
		}
	}
}

// Screenshot keeps a picture of the page.
func (b *Tab) Screenshot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	png, err := b.picture(ctx)
	if err != nil {
		b.t.Errorf("%s: take a screenshot: %v", b.name, err)
		return
	}
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(artefacts, name+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("screenshot %s", path)
}

// failure names the picture of a page that is not as it should be.
func (b *Tab) failure() string {
	return "failed-" + strings.ReplaceAll(b.t.Name(), "/", "-") + "-" + b.name
}
