package sim

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDatagramTakesTheDelayOfItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{Delay: 10 * time.Millisecond})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "2001:db8::2")
		n.SetPathOneWay(a, b, Path{Delay: 80 * time.Millisecond})
		ca, cb := a.PacketConn(7000), b.PacketConn(0)
		start := time.Now()
		if _, err := ca.WriteTo([]byte("question"), cb.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		k, from, err := cb.ReadFrom(buf)
		if err != nil || string(buf[:k]) != "question" || from.String() != "192.0.2.1:7000" {
			t.Fatalf("read %q from %v: %v", buf[:k], from, err)
		}
		if took := time.Since(start); took != 80*time.Millisecond {
			t.Errorf("the way there took %v", took)
		}
		if _, err := cb.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ca.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 90*time.Millisecond {
			t.Errorf("the way there and back took %v", took)
		}
		if got := n.Traffic(a, b); got != (Traffic{Packets: 1, Bytes: 8}) {
			t.Errorf("traffic %+v", got)
		}
	})
}

func TestReadEndsAtDeadlineAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{})
		c := n.Host("a", "192.0.2.1").PacketConn(7000)
		start := time.Now()
		_ = c.SetReadDeadline(start.Add(time.Second))
		_, _, err := c.ReadFrom(nil)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("read after the deadline: %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the read ended after %v", took)
		}
		// A deadline that is moved while a read waits counts for that read.
		_ = c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { _ = c.SetReadDeadline(time.Now()) })
		if _, _, err = c.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the deadline moved: %v", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { _ = c.Close() })
		if _, _, err = c.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		if _, err = c.WriteTo(nil, c.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
	})
}

func TestPortsAreTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{})
		a := n.Host("a", "192.0.2.1")
		c := a.PacketConn(7000)
		if _, err := a.ListenPacket(7000); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second socket on a port: %v", err)
		}
		a.Listen(7000) // a stream's port is another one
		if _, err := a.ListenStream(7000); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second listener on a port: %v", err)
		}
		_ = c.Close()
		a.PacketConn(7000)
		if _, err := c.WriteTo(make([]byte, maxDatagram+1), c.LocalAddr()); err == nil {
			t.Error("a closed socket writes")
		}
		if p, q := a.PacketConn(0), a.PacketConn(0); p.local == q.local {
			t.Errorf("two free ports are %v", p.local)
		}
	})
}

func TestDatagramToNobodyVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{})
		a, b := n.Host("a", "192.0.2.1"), n.Host("b", "192.0.2.2")
		c := a.PacketConn(0)
		if _, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 9}); err != nil {
			t.Errorf("to an unknown address: %v", err)
		}
		if _, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: b.Addr().AsSlice(), Port: 9}); err != nil {
			t.Errorf("to a closed port: %v", err)
		}
		if _, err := c.WriteTo(make([]byte, maxDatagram+1), c.LocalAddr()); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("too large: %v", err)
		}
		synctest.Wait()
		if got := n.Traffic(a, b).Unheard; got != 1 {
			t.Errorf("%d unheard datagrams", got)
		}
	})
}

func TestFullSocketDropsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, Path{})
		a := n.Host("a", "192.0.2.1")
		c := a.PacketConn(7000)
		const size = 1024
		for range socketBuffer/size + 3 {
			if _, err := c.WriteTo(make([]byte, size), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := n.Traffic(a, a).Overflow; got != 3 {
			t.Errorf("%d datagrams overflowed, want 3", got)
		}
	})
}
