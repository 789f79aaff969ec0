package browser

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// artefacts is the folder, beside the tests, in which screenshots are kept.
const artefacts = "artefacts"

// Tab is one page in a browser of its own.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// State is what window.lyceum.state() tells of a page.
type State struct {
	Page          string  `json:"page"`
	Status        string  `json:"status"`
	Node          string  `json:"node"`
	FramesDecoded int     `json:"framesDecoded"`
	AudioLevel    float64 `json:"audioLevel"`
	Error         string  `json:"error"`
}

// Open starts a browser with a fake camera and microphone and opens a page in it. Each page has its own browser, so
// that a tab in the background is never throttled.
func Open(t testing.TB, url string, width, height int) *Tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.NoSandbox,
		chromedp.Flag("use-fake-device-for-media-stream", "fps=30"), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-gpu", true), chromedp.WindowSize(width, height))
	allocator, cancelAllocator := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancelAllocator)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open the page: %v", err)
	}
	return &Tab{t: t, ctx: ctx}
}

// Click waits for an element and clicks it.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(selector)); err != nil {
		b.t.Fatalf("click %s: %v", selector, err)
	}
}

// State reads the page's state.
func (b *Tab) State() State {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`(async () => JSON.stringify(window.lyceum ? await window.lyceum.state() : {status: "loading"}))()`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("read the page's state: %v", err)
	}
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		b.t.Fatalf("read the page's state %q: %v", text, err)
	}
	return s
}

// Until waits for a state, generously: on two busy cores a browser is slow.
func (b *Tab) Until(what string, ok func(State) bool) State {
	b.t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		s := b.State()
		if ok(s) {
			return s
		}
		select {
		case <-deadline:
			b.Screenshot("failed")
			b.t.Fatalf("the page never showed %s; it shows %+v", what, s)
		case <-tick.C:
		}
	}
}

// Screenshot keeps a picture of the page.
func (b *Tab) Screenshot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Errorf("take a screenshot: %v", err)
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
