package fan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	tunName = "lyl-fan"
	// tunQueue is how many packets the device holds until they are read: a quarter of a second of 1,000 students at 2.5 Mbps.
	tunQueue = 80_000
	// tunRest is how long the reader sleeps when there is nothing. It must not wait in the kernel instead: to wake it would
	// then be charged to the server, once for each packet that is sent alone and once for each batch of many, and the
	// difference between servers would come from this program.
	tunRest = time.Millisecond

	// From linux/if_tun.h and linux/virtio_net.h.
	iffVnetHdr    = 0x4000
	tunSetOffload = 0x400454d0
	offloadCsum   = 0x01
	offloadUSO    = 0x20 | 0x40 // the kernel takes those of IPv4 and of IPv6 together only
	vnetHeader    = 10
	vnetUDP       = 5 // gso_type of a train of UDP datagrams
)

// tunNetwork is a network of students behind a TUN device: for the server it is the way out of the machine, and what is sent
// costs it what sending costs and nothing of receiving. Student i is at address i+2 of tunPrefix.
type tunNetwork struct {
	// Set by openTUN, never changed.
	fd      int
	vnet    bool // packets begin with a virtio_net_hdr, and trains come whole
	running sync.WaitGroup
	stop    context.CancelFunc

	lines atomic.Pointer[[]*tunLine] // replaced whole

	mu sync.Mutex
	// Guarded by mu.
	buf []byte // to write
}

// tunPrefix is the students' network; its first address is the server's.
var tunPrefix = netip.MustParsePrefix("10.98.0.0/16")

const studentPort = 5000

// openTUN makes the device and the route to it. With offload the device takes trains of packets whole, as a network card
// does that segments them itself.
func openTUN(offload bool) (network, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	n := &tunNetwork{fd: fd, vnet: offload}
	n.lines.Store(&[]*tunLine{})
	if err := n.setUp(); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.running.Go(func() { n.read(ctx) })
	return n, nil
}

func (n *tunNetwork) setUp() error {
	var request [40]byte // struct ifreq: the name, then the flags
	copy(request[:syscall.IFNAMSIZ-1], tunName)
	flags := uint16(syscall.IFF_TUN | syscall.IFF_NO_PI)
	if n.vnet {
		flags |= iffVnetHdr
	}
	binary.NativeEndian.PutUint16(request[syscall.IFNAMSIZ:], flags)
	if err := ioctl(n.fd, syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request[0]))); err != nil {
		return fmt.Errorf("make the TUN device %s (root only; --sink socket needs none): %w", tunName, err)
	}
	if n.vnet {
		if err := ioctl(n.fd, tunSetOffload, offloadCsum|offloadUSO); err != nil {
			return fmt.Errorf("let %s take trains of UDP whole: %w", tunName, err)
		}
	}
	for _, words := range []string{
		fmt.Sprintf("ip addr add %s/%d dev %s", serverAddress, tunPrefix.Bits(), tunName),
		fmt.Sprintf("ip link set %s mtu 1500 txqueuelen %d up", tunName, tunQueue),
	} {
		w := strings.Fields(words)
		if out, err := exec.CommandContext(context.Background(), w[0], w[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", words, err, out)
		}
	}
	return nil
}

func ioctl(fd int, request, value uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, value); errno != 0 {
		return errno
	}
	return nil
}

func (n *tunNetwork) line(e *ear) (line, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := *n.lines.Load()
	i := len(old) + 2
	if i >= 1<<16-1 {
		return nil, errors.New("the students' network has no address left")
	}
	addr := netip.AddrFrom4([4]byte{10, 98, byte(i >> 8), byte(i)})
	l := &tunLine{net: n, ear: e, local: netip.AddrPortFrom(addr, studentPort), in: make(chan tunPacket, 256), done: make(chan struct{})}
	all := append(old[:len(old):len(old)], l)
	n.lines.Store(&all)
	return l, nil
}

// dropped is what the device's queue had no room for.
func (n *tunNetwork) dropped() (int64, error) {
	text, err := os.ReadFile("/sys/class/net/" + tunName + "/statistics/tx_dropped")
	if err != nil {
		return 0, fmt.Errorf("read the losses of %s: %w", tunName, err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

func (n *tunNetwork) close() {
	n.stop()
	n.running.Wait()
	_ = syscall.Close(n.fd)
}

// read takes what the server sends until the network is closed.
func (n *tunNetwork) read(ctx context.Context) {
	buf := make([]byte, vnetHeader+1<<16)
	for ctx.Err() == nil {
		size, err := syscall.Read(n.fd, buf)
		switch {
		case err == nil:
			n.take(buf[:size])
		case errors.Is(err, syscall.EAGAIN):
			_ = pause(ctx, tunRest) // the loop sees that it is over
		case !errors.Is(err, syscall.EINTR):
			fmt.Fprintf(os.Stderr, "read from %s: %v\n", tunName, err)
			return
		}
	}
}

// take delivers a packet, or the packets of a train.
func (n *tunNetwork) take(b []byte) {
	segment := 0
	if n.vnet {
		if len(b) < vnetHeader {
			return
		}
		if b[1] == vnetUDP {
			segment = int(binary.NativeEndian.Uint16(b[4:]))
		}
		b = b[vnetHeader:]
	}
	to, from, payload, ok := splitUDP(b)
	i := int(to.Addr().As4()[2])<<8 | int(to.Addr().As4()[3]) - 2
	lines := *n.lines.Load()
	if !ok || i < 0 || i >= len(lines) || to.Port() != studentPort {
		return
	}
	if segment == 0 {
		segment = max(1, len(payload))
	}
	for len(payload) > 0 {
		size := min(segment, len(payload))
		lines[i].take(payload[:size], from)
		payload = payload[size:]
	}
}

// splitUDP reads an IPv4 packet without options that carries UDP.
func splitUDP(b []byte) (to, from netip.AddrPort, payload []byte, ok bool) {
	if len(b) < 28 || b[0] != 0x45 || b[9] != syscall.IPPROTO_UDP {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0), from, nil, false
	}
	from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[20:]))
	to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(b[22:]))
	return to, from, b[28:], true
}

// send puts a UDP packet on the wire. UDP over IPv4 needs no checksum (RFC 768).
func (n *tunNetwork) send(payload []byte, from, to netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.buf[:0]
	if n.vnet {
		b = append(b, make([]byte, vnetHeader)...)
	}
	head := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(payload)))
	b = append(b, 0, 0, 0x40, 0, 64, syscall.IPPROTO_UDP, 0, 0)
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().Unmap().AsSlice()...)
	binary.BigEndian.PutUint16(b[head+10:], checksum(b[head:]))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	b = append(b, payload...)
	n.buf = b
	_, err := syscall.Write(n.fd, b)
	return err
}

// checksum is that of an IPv4 header (RFC 791).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// tunPacket is a packet that a PeerConnection is to have.
type tunPacket struct {
	payload []byte
	from    netip.AddrPort
}

// tunLine is one student's address.
type tunLine struct {
	// Set by line, never changed.
	net   *tunNetwork
	ear   *ear
	local netip.AddrPort
	in    chan tunPacket // full: the packet is lost, as it would be in a socket's buffer
	done  chan struct{}
	once  sync.Once
}

func (l *tunLine) take(b []byte, from netip.AddrPort) {
	if !l.ear.hear(b) {
		return
	}
	select {
	case l.in <- tunPacket{append([]byte(nil), b...), from}:
	default:
	}
}

// ReadFromAddrPort returns the next packet that the PeerConnection is to have.
func (l *tunLine) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case p := <-l.in:
		return copy(b, p.payload), p.from, nil
	case <-l.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

// WriteToAddrPort sends a packet.
func (l *tunLine) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return len(b), l.net.send(b, l.local, to)
}

func (l *tunLine) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := l.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

func (l *tunLine) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no UDP address", to)
	}
	return l.WriteToAddrPort(b, udp.AddrPort())
}

func (l *tunLine) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(l.local) }

func (l *tunLine) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Nothing here waits but ReadFrom, which Close ends.
func (l *tunLine) SetDeadline(time.Time) error      { return nil }
func (l *tunLine) SetReadDeadline(time.Time) error  { return nil }
func (l *tunLine) SetWriteDeadline(time.Time) error { return nil }
