package main

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPathsAreReadFromWords(t *testing.T) {
	change, err := parsePath(strings.Fields("delay=80ms loss=2% jitter=5ms burst=3 rate=10M queue=150ms reorder=0.01 held=4ms"))
	if err != nil {
		t.Fatal(err)
	}
	got := Path{Cut: true}
	change(&got)
	want := Path{
		Delay: ms(80), Loss: .02, Jitter: ms(5), Burst: 3, Rate: 10_000_000, Queue: ms(150), Reorder: .01, ReorderBy: ms(4), Cut: true,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, wrong := range []string{"delay", "delay=5", "loss=x", "loss=200%", "speed=3", "rate=1.5M", "delay=-5ms"} {
		if _, err := parsePath([]string{wrong}); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}

func TestDestinations(t *testing.T) {
	good := make([]byte, 28)
	good[0], good[3] = 0x45, 28
	copy(good[16:], []byte{10, 99, 2, 1})
	if to, ok := destination(good); !ok || to != netip.MustParseAddr("10.99.2.1") {
		t.Errorf("%v, %t", to, ok)
	}
	six := bytes.Clone(good)
	six[0] = 0x60
	for _, b := range [][]byte{nil, good[:19], good[:27], six} {
		if _, ok := destination(b); ok {
			t.Errorf("%x has a destination", b)
		}
	}
}

// wire is a device whose other end the test holds.
type wire struct {
	io.Reader
	io.Writer
	close func() error
}

func (w wire) Close() error { return w.close() }

func TestCommandsChangeTheNetwork(t *testing.T) {
	var ports []*port
	var in []io.Writer
	out := make(chan []byte, 1)
	for i, name := range []string{"a", "b"} {
		r, w := io.Pipe()
		in = append(in, w)
		ports = append(ports, &port{
			name: name, addr: netip.AddrFrom4([4]byte{10, 99, byte(i + 1), 1}), device: wire{r, channel(out), w.Close},
		})
	}
	r := newRouter(ports, func(string, string) Path { return Path{Delay: time.Millisecond} })
	l := &lab{router: r}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.run(ctx) }()
	packet := make([]byte, 28)
	packet[0], packet[3] = 0x45, 28
	copy(packet[16:], []byte{10, 99, 2, 1})
	sent := int64(0)
	send := func() {
		t.Helper()
		sent++
		_, _ = in[0].Write(packet)
		deadline := time.After(10 * time.Second)
		for r.carriers[pair{"a", "b"}].traffic().Packets != sent {
			select {
			case <-deadline:
				t.Fatalf("packet %d did not come to the line", sent)
			case <-time.After(time.Millisecond):
			}
		}
	}
	send()
	if got := <-out; !bytes.Equal(got, packet) {
		t.Errorf("b got %x", got)
	}
	do := func(text string) {
		t.Helper()
		if err := l.command(ctx, strings.Fields(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	do("cut a b")
	send()
	do("wait 1ms")
	do("heal a b")
	do("path a b delay=2ms")
	send()
	<-out
	if tr := r.carriers[pair{"a", "b"}].traffic(); tr.Cut != 1 || tr.Packets != 3 {
		t.Errorf("counted %+v", tr)
	}
	for _, wrong := range []string{"cut a", "cut a c", "fly", "path a b speed=3", "wait long", "kill a"} {
		if l.command(ctx, strings.Fields(wrong)) == nil {
			t.Errorf("%q was obeyed", wrong)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// channel is a device that gives each packet to the test.
type channel chan []byte

func (c channel) Write(b []byte) (int, error) {
	c <- bytes.Clone(b)
	return len(b), nil
}
