package fan

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sinkAddresses are behind a TUN device that nobody reads: the kernel does for a packet all that it does until a device
// takes it, and drops it there, so that the cost of receiving is not in the measurement.
var (
	sinkLocal = net.IPv4(10, 251, 7, 1)
	sinkHost  = netip.MustParseAddr("10.251.7.2")
)

// openSink makes the device. The benchmark is skipped where that is not allowed.
func openSink(b *testing.B) *net.UDPConn {
	b.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Skip("a TUN device is needed:", err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	var request [40]byte // struct ifreq: the name, then the flags
	copy(request[:unix.IFNAMSIZ-1], "lyceumsink")
	binary.NativeEndian.PutUint16(request[unix.IFNAMSIZ:], unix.IFF_TUN|unix.IFF_NO_PI)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request[0]))); errno != 0 {
		b.Skip("a TUN device is needed:", errno)
	}
	for _, args := range [][]string{{"addr", "add", sinkLocal.String() + "/24", "dev", "lyceumsink"}, {"link", "set", "lyceumsink", "up"}} {
		if out, err := exec.CommandContext(b.Context(), "ip", args...).CombinedOutput(); err != nil {
			b.Skipf("ip %v: %v: %s", args, err, out)
		}
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: sinkLocal})
	if err != nil {
		b.Fatal(err)
	}
	_ = c.SetWriteBuffer(4 << 20)
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkFrame sends one frame of nine packets to each of 200 students: 2.5 Mbps at 30 frames a second. ns/packet is the
// figure.
func BenchmarkFrame(b *testing.B) {
	const students, parts, size = 200, 9, 1157
	for _, c := range []struct {
		name   string
		single bool
		seal   bool
		frame  func(int) int // the size of each part
	}{
		{"sealed trains", false, true, func(int) int { return size }},
		{"sealed singles", true, true, func(int) int { return size }},
		{"sealed trains of uneven parts", false, true, func(i int) int { return size + i%2 }},
		{"copied trains", false, false, func(int) int { return size }},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := New(Config{}, openSink(b))
			if err != nil {
				b.Fatal(err)
			}
			if c.single {
				f.conns[0].trains.Store(false)
			}
			paths, streams := make([]*Path, students), make([]*Stream, students)
			for i := range students {
				paths[i], _ = f.Path(f.conns[0].local, netip.AddrPortFrom(sinkHost, uint16(2000+i)))
				streams[i] = newStream(b)
			}
			payload := make([]byte, size+1)
			sequence := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				batch := f.Take()
				for i, p := range paths {
					for part := range parts {
						if !c.seal {
							q := batch.queue(p)
							q.add(p, copy(q.room(), payload[:c.frame(part)]))
							continue
						}
						h := Header{SSRC: 7, Index: sequence + uint64(part), Type: 96}
						if err := streams[i].Send(batch, p, &h, payload[:c.frame(part)]); err != nil {
							b.Fatal(err)
						}
					}
				}
				sequence += parts
				batch.Done()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*students*parts), "ns/packet")
		})
	}
}
