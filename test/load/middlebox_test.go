package main

import (
	"context"
	"net"
	"testing"
	"time"
)

// answer sends what comes back to its sender.
func answer(c *net.UDPConn) {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteToUDPAddrPort(buf[:n], from)
	}
}

func TestAMiddleboxDelaysBothWays(t *testing.T) {
	parent, err := listenLoopback()
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	go answer(parent)
	m, err := newMiddlebox(parent.LocalAddr().(*net.UDPAddr).AddrPort(), Path{Delay: 20 * time.Millisecond}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var children []net.Conn
	for range 2 {
		c, err := net.Dial("udp4", m.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		children = append(children, c)
	}
	ask := func(c net.Conn, word string, within time.Duration) (string, time.Duration, error) {
		began := time.Now()
		if _, err := c.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(began.Add(within))
		buf := make([]byte, maxPacket)
		n, err := c.Read(buf)
		return string(buf[:n]), time.Since(began), err
	}
	for i, c := range children { // each hears its own answer
		word := string(rune('a' + i))
		if got, took, err := ask(c, word, 10*time.Second); err != nil || got != word || took < 40*time.Millisecond {
			t.Errorf("child %d heard %q after %v, %v", i, got, took, err)
		}
	}
	m.set(Path{Cut: true})
	if got, _, err := ask(children[0], "c", 50*time.Millisecond); err == nil {
		t.Errorf("heard %q through a cut", got)
	}
	if got := m.up.traffic(); got != (Traffic{Packets: 3, Bytes: 3 * (1 + ipHeaders), Cut: 1}) {
		t.Errorf("counted %+v", got)
	}
}
