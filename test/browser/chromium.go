package browser

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Screen is what a page is shown on.
type Screen struct {
	Width, Height int64
	Phone         bool // touch, a dense screen, and the width that the page asks for
	Dark          bool // the person prefers dark colours
}

// Screens of people in class.
var (
	phone     = Screen{Width: 390, Height: 844, Phone: true}
	phoneSide = Screen{Width: 844, Height: 390, Phone: true}
	phoneDark = Screen{Width: 390, Height: 844, Phone: true, Dark: true}
	desktop   = Screen{Width: 1280, Height: 800}
	night     = Screen{Width: 1280, Height: 800, Dark: true}
)

// Open starts Chromium with a fake camera and microphone and opens a page in it. The test fails when a script of the
// page throws or when the page breaks its own security policy.
func Open(t testing.TB, name, url string, screen Screen) *Tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("use-fake-device-for-media-stream", "fps=30"), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-gpu", true), chromedp.WindowSize(1280, 900))
	allocator, cancelAllocator := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancelAllocator)

	var dialogs sync.WaitGroup
	t.Cleanup(dialogs.Wait)
	var tab context.Context
	tab, cancel := chromedp.NewContext(allocator, chromedp.WithListener(func(ev any) {
		// A page asks before it is left while it is live; a person who reloads it says yes. The listener must not block.
		if _, ok := ev.(*page.EventJavascriptDialogOpening); ok {
			dialogs.Go(func() {
				_, _ = chromedp.Call(tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}) // it may be gone
			})
		}
	}))
	t.Cleanup(cancel)
	settings := []chromedp.Action[chromedp.Void]{viewport(screen), colours(screen)}
	if err := chromedp.Do(tab, settings...); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	watchConsole(t, tab, name)
	if err := chromedp.Do(tab, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open the page: %v", err)
	}
	// The deadline of a step is laid on the tab's context, which carries the browser.
	within := func(ctx context.Context, do func(context.Context) error) error {
		inner, cancel := context.WithCancel(tab)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return do(inner)
	}
	return &Tab{
		t: t, name: name,
		evaluate: func(ctx context.Context, script string) (text string, err error) {
			err = within(ctx, func(ctx context.Context) error {
				text, err = chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
				return err
			})
			return text, err
		},
		picture: func(ctx context.Context) (png []byte, err error) {
			err = within(ctx, func(ctx context.Context) error {
				png, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
				return err
			})
			return png, err
		},
		click: func(ctx context.Context, selector string) error {
			return within(ctx, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Click(selector)) })
		},
		reload: func(ctx context.Context) error {
			return within(ctx, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Reload()) })
		},
	}
}

func viewport(s Screen) chromedp.Action[chromedp.Void] {
	if s.Phone {
		return chromedp.EmulateViewport(s.Width, s.Height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	return chromedp.EmulateViewport(s.Width, s.Height)
}

func colours(s Screen) chromedp.Action[chromedp.Void] {
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// watchConsole fails the test for what a page must never say, however its tests go otherwise.
func watchConsole(t testing.TB, tab context.Context, name string) {
	messages := chromedp.Console(tab)
	var (
		mu  sync.Mutex
		bad []string
	)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Source == "security" || strings.Contains(m.Text, "Content Security Policy") {
				mu.Lock()
				bad = append(bad, m.String())
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, text := range bad {
			t.Errorf("the page of %s says %q", name, text)
		}
	})
}
