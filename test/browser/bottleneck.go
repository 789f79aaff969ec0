package browser

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// headers is what IPv4 and UDP add to a datagram on the line, in bytes.
const headers = 28

// Bottleneck passes datagrams between one browser and one node, and narrows the way to the browser: a line with a rate and a
// queue of its own, in which what does not fit is lost. The way to the node is as wide as the machine.
type Bottleneck struct {
	// Set by newBottleneck, never changed.
	browser, node *net.UDPConn // towards each of them
	queue         time.Duration

	rate atomic.Int64 // bits per second
	lost atomic.Int64
	peer atomic.Pointer[netip.AddrPort] // the browser
}

// newBottleneck makes a line of a rate in bits per second to the node's address.
func newBottleneck(t testing.TB, to netip.AddrPort, rate int64, queue time.Duration) *Bottleneck {
	t.Helper()
	loopback := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))
	browser, err := net.ListenUDP("udp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	node, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	b := &Bottleneck{browser: browser, node: node, queue: queue}
	b.rate.Store(rate)
	var running sync.WaitGroup
	running.Go(b.up)
	running.Go(b.down)
	t.Cleanup(func() {
		_ = browser.Close() // ends both
		_ = node.Close()
		running.Wait()
	})
	return b
}

// up passes what the browser sends.
func (b *Bottleneck) up() {
	buf := make([]byte, 2048)
	for {
		n, from, err := b.browser.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		b.peer.Store(&from)
		_, _ = b.node.Write(buf[:n]) // a datagram may be lost
	}
}

// waiting is a datagram in the queue.
type waiting struct {
	due  time.Time
	data []byte
}

// down passes what the node sends, in order and at the line's rate.
func (b *Bottleneck) down() {
	line := make(chan waiting, 4096)
	due := time.NewTimer(0)
	var sending sync.WaitGroup
	sending.Go(func() {
		defer due.Stop()
		<-due.C
		for w := range line {
			due.Reset(time.Until(w.due))
			<-due.C
			if peer := b.peer.Load(); peer != nil {
				_, _ = b.browser.WriteToUDPAddrPort(w.data, *peer) // as above
			}
		}
	})
	defer sending.Wait()
	defer close(line)
	var free time.Time // when the line has sent all that waits
	buf := make([]byte, 2048)
	for {
		n, err := b.node.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if free.Sub(now) > b.queue {
			b.lost.Add(1)
			continue
		}
		free = free.Add(time.Duration(int64(n+headers) * 8 * int64(time.Second) / b.rate.Load()))
		select {
		case line <- waiting{free, append([]byte(nil), buf[:n]...)}:
		default:
			b.lost.Add(1)
		}
	}
}

// candidateOf finds the address for UDP in an SDP answer.
func candidateOf(t testing.TB, answer string) netip.AddrPort {
	t.Helper()
	for line := range strings.Lines(answer) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "a=candidate:"))
		if !strings.HasPrefix(line, "a=candidate:") || len(f) < 8 || !strings.EqualFold(f[2], "udp") {
			continue
		}
		addr, err := netip.ParseAddr(f[4])
		port, err2 := strconv.ParseUint(f[5], 10, 16)
		if err == nil && err2 == nil && addr.Is4() {
			return netip.AddrPortFrom(addr, uint16(port))
		}
	}
	t.Fatalf("the answer names no address for UDP:\n%s", answer)
	return netip.AddrPort{}
}

// through leaves the bottleneck as the only address in an answer.
func (b *Bottleneck) through(answer string) string {
	var out strings.Builder
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "a=candidate:") {
			continue
		}
		out.WriteString(line)
		if strings.HasPrefix(line, "a=ice-pwd:") {
			port := strconv.Itoa(b.browser.LocalAddr().(*net.UDPAddr).Port)
			out.WriteString("a=candidate:1 1 udp 2130706431 127.0.0.1 " + port + " typ host\r\n")
		}
	}
	return out.String()
}
