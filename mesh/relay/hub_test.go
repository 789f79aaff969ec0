package relay

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countingFeeder counts the tracks that are fed now.
type countingFeeder struct{ begun, ended atomic.Int32 }

func (f *countingFeeder) Feed(ctx context.Context, _ *Track) {
	f.begun.Add(1)
	<-ctx.Done()
	f.ended.Add(1)
}

func TestHubFeedsATrackOnceAndLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &countingFeeder{}
		h := NewHub(Config{Feeder: f, Linger: 5 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()

		a, releaseA := h.Acquire(camera)
		b, releaseB := h.Acquire(camera)
		if a != b {
			t.Fatal("two tracks of one name")
		}
		synctest.Wait()
		releaseA()
		releaseA()
		time.Sleep(time.Minute)
		if f.begun.Load() != 1 || f.ended.Load() != 0 {
			t.Fatalf("begun %d, ended %d while held, want 1 and 0", f.begun.Load(), f.ended.Load())
		}
		releaseB()
		time.Sleep(4 * time.Second)
		_, releaseC := h.Acquire(camera) // a student who reloads
		time.Sleep(time.Minute)
		if f.begun.Load() != 1 || f.ended.Load() != 0 {
			t.Fatalf("begun %d, ended %d after a reload, want 1 and 0", f.begun.Load(), f.ended.Load())
		}
		releaseC()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if f.ended.Load() != 1 || len(h.Status()) != 0 {
			t.Fatalf("ended %d, %d tracks left after the linger, want 1 and 0", f.ended.Load(), len(h.Status()))
		}
		h.Acquire(camera)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if f.begun.Load() != 2 || f.ended.Load() != 2 {
			t.Errorf("begun %d, ended %d after Run, want 2 and 2", f.begun.Load(), f.ended.Load())
		}
	})
}
