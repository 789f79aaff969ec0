package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// connect returns the two ends of a stream from a to b.
func connect(t *testing.T, a, b *Host) (near, far net.Conn) {
	t.Helper()
	l := b.Listen(0)
	near, err := a.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestStreamArrivesWholeAndInOrder(t *testing.T) {
	for name, p := range map[string]Path{
		"perfect":        {},
		"far":            {Delay: 100 * time.Millisecond},
		"lossy":          {Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05, Burst: 3, Reorder: 0.05},
		"narrow, lossy":  {Delay: 20 * time.Millisecond, Loss: 0.02, Rate: 20_000_000},
		"slow handshake": {Delay: time.Second, Loss: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := New(t, p)
				near, far := connect(t, n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2"))
				want := make([]byte, 3<<20/2)
				for i := range want {
					want[i] = byte(i * i >> 8)
				}
				go func() {
					_, _ = near.Write(want)
					_ = near.Close()
				}()
				got, err := io.ReadAll(far)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %d came: %v", len(got), len(want), err)
				}
			})
		})
	}
}

func TestDialTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 40 * time.Millisecond})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		start := time.Now()
		near, far := connect(t, a, b)
		if took := time.Since(start); took != 80*time.Millisecond {
			t.Errorf("the dial took %v", took)
		}
		if near.LocalAddr().String() != far.RemoteAddr().String() || near.RemoteAddr().String() != far.LocalAddr().String() {
			t.Errorf("%v-%v and %v-%v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
	})
}

func TestDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 40 * time.Millisecond})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		b.Listen(80)
		brief, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for name, c := range map[string]struct {
			ctx  context.Context
			to   string
			cut  bool
			want error
			took time.Duration
		}{
			"closed port":     {t.Context(), "b:81", false, syscall.ECONNREFUSED, 80 * time.Millisecond},
			"unknown address": {t.Context(), "192.0.2.9:80", false, syscall.EHOSTUNREACH, 0},
			"cut, brief":      {brief, "b:80", true, context.DeadlineExceeded, 3 * time.Second},
			"cut":             {t.Context(), "b:80", true, syscall.ETIMEDOUT, dialTimeout},
		} {
			if c.cut {
				n.Cut(a, b)
			} else {
				n.Heal(a, b)
			}
			if c.ctx == brief {
				brief, cancel = context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				c.ctx = brief
			}
			start := time.Now()
			_, err := a.Dial(c.ctx, "tcp", c.to)
			if took := time.Since(start); !errors.Is(err, c.want) || took != c.took {
				t.Errorf("%s: %v after %v, want %v after %v", name, err, took, c.want, c.took)
			}
		}
		if _, err := a.Dial(t.Context(), "tcp", "nobody:80"); err == nil {
			t.Error("an unknown name was dialled")
		}
	})
}

func TestStreamWaitsForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: time.Millisecond})
		near, far := connect(t, n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2"))
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		sent, err := near.Write(make([]byte, 2*window))
		if !errors.Is(err, os.ErrDeadlineExceeded) || sent < window || sent > window+segmentSize {
			t.Fatalf("%d bytes were written without a reader: %v", sent, err)
		}
		if _, err := io.ReadFull(far, make([]byte, window/2)); err != nil {
			t.Fatal(err)
		}
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := near.Write(make([]byte, window/4)); err != nil {
			t.Errorf("after the reader made room: %v", err)
		}
	})
}

func TestStreamOutlivesACutAndNotACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 10 * time.Millisecond})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		near, far := connect(t, a, b)
		n.Partition(a)
		if _, err := near.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 5)
		if _, err := far.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read across a cut: %v", err)
		}
		n.HealPartition(a)
		_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(far, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("after healing %q came: %v", buf, err)
		}
		b.Crash()
		if _, err := near.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read from a dead process: %v", err)
		}
		if _, err := far.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read of a dead process: %v", err)
		}
	})
}

func TestHTTPKnowsWhoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 25 * time.Millisecond})
		server, student := n.Host("fra", "192.0.2.1"), n.Host("student", "203.0.113.7")
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Host+" "+r.RemoteAddr)
		})}
		l := server.Listen(8080)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		start := time.Now()
		resp, err := student.Client().Get("http://fra:8080/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want := "fra:8080 203.0.113.7:"; err != nil || !bytes.HasPrefix(body, []byte(want)) {
			t.Errorf("the answer is %q (%v), want %q and a port", body, err, want)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("two round trips took %v", took)
		}
		if resp, err = server.Client().Get("http://127.0.0.1:8080/"); err != nil {
			t.Errorf("loopback: %v", err)
		} else {
			_ = resp.Body.Close()
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
