package fan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// lookTime is the time between two looks at a socket that something has come to. For each packet that is waited for the
	// process wakes, and with it threads that find nothing to do, which costs more than to read it (measured for 200 students
	// at 500 kbps, whose teacher publishes at the same socket: 7.3 us a packet with looks every 2 ms, 6.0 with 5). What comes is
	// 2.5 ms older when it is read, on average.
	lookTime = 5 * time.Millisecond
	// soonTime is that time while somebody connects, for whom each of some ten packets waits for the one before.
	soonTime = 2 * time.Millisecond
	// soonLooks is for how many looks somebody who connects is taken to go on.
	soonLooks = 50
	// vainLooks is after how many looks in vain the next packet is waited for.
	vainLooks = 20
	// readSize is how many packets one call reads.
	readSize = 64
	// datagram is the room for one: what is larger than an Ethernet frame is not for us.
	datagram = 1500
)

// port is a second socket at a socket's own address, to send and to receive by. Go's poller does not know it: a socket that is
// watched wakes the process for each packet that comes, and again each time that the network has taken packets from it.
// The first socket is left without anything to do.
type port struct {
	// Set by open, never changed.
	reading bool     // it is there
	watch   *os.File // becomes readable with the next packet, once asked to

	mu sync.RWMutex // held while the descriptor is used, so that it is not closed meanwhile
	fd int          // -1 for none

	// Owned by the reader.
	headers  []header
	vectors  []unix.Iovec
	names    []unix.RawSockaddrInet6
	memory   []byte
	n, at    int // packets that were read, and how many of them were taken
	vain     int // looks in a row at which there was nothing
	soon     int // looks until nobody connects any more
	received bool
	timer    *time.Timer // nil until it is needed
}

// open opens it beside a socket that is bound to at. The first one is connected to its own address, so that no packet of anybody
// comes to it; an address that stands for all cannot be used so, because to connect would choose one of them.
func (p *port) open(main int, at *net.UDPAddr, family int) error {
	if at.IP.IsUnspecified() || at.Zone != "" {
		return nil
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	for _, buffer := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
		if size, err := unix.GetsockoptInt(main, unix.SOL_SOCKET, buffer); err == nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer, size/2) // the kernel doubles it, and grants what it may
		}
	}
	watch, err := watchOf(fd)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	var addr unix.Sockaddr
	if family == unix.AF_INET6 {
		addr = &unix.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP.To16())}
	} else {
		addr = &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
	}
	if err := share(main, fd, addr); err != nil {
		_ = unix.Close(fd)
		_ = watch.Close()
		return err
	}
	p.fd, p.watch, p.reading = fd, watch, true
	p.headers, p.vectors = make([]header, readSize), make([]unix.Iovec, readSize)
	p.names, p.memory = make([]unix.RawSockaddrInet6, readSize), make([]byte, readSize*datagram)
	for i := range p.headers {
		p.vectors[i].Base = &p.memory[i*datagram]
		p.vectors[i].SetLen(datagram)
		h := &p.headers[i].Msghdr
		h.Name = (*byte)(unsafe.Pointer(&p.names[i]))
		h.Iov = &p.vectors[i]
		h.SetIovlen(1)
	}
	return nil
}

// watchOf makes what Go's poller watches instead of a socket: it tells of one packet each time that it is asked to.
func watchOf(fd int) (*os.File, error) {
	e, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch a socket: %w", err)
	}
	err = errors.Join(unix.SetNonblock(e, true), unix.EpollCtl(e, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}))
	if err != nil {
		_ = unix.Close(e)
		return nil, fmt.Errorf("watch a socket: %w", err)
	}
	return os.NewFile(uintptr(e), "media socket"), nil
}

// share binds a socket to the address of another one and takes over what comes there. Two sockets have one address if both
// allow it at that moment; afterwards nobody else is let in.
func share(main, fd int, addr unix.Sockaddr) error {
	allow := func(v int) error {
		for _, s := range []int{main, fd} {
			if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, v); err != nil {
				return fmt.Errorf("share the address: %w", err)
			}
		}
		return nil
	}
	if err := allow(1); err != nil {
		return err
	}
	if err := unix.Bind(fd, addr); err != nil {
		_ = allow(0)
		return fmt.Errorf("share the address: %w", err)
	}
	if err := unix.Connect(main, addr); err != nil {
		_ = allow(0)
		return fmt.Errorf("keep what comes from the first socket: %w", err)
	}
	return allow(0)
}

// use calls f with the descriptor, if there is one.
func (p *port) use(f func(fd uintptr)) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.fd < 0 {
		return false
	}
	f(uintptr(p.fd))
	return true
}

// write sends one packet. It does not wait: what the socket's buffer has no room for is lost on the way, as it may be anywhere.
func (p *port) write(b []byte, to *sockaddr) error {
	errno := unix.EBADF
	p.use(func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&to.bytes[0])), uintptr(to.size))
	})
	switch errno {
	case 0:
		return nil
	case unix.EBADF:
		return net.ErrClosed
	}
	return errno
}

// next gives the next packet, in memory that is used again by the call after.
func (p *port) next() ([]byte, netip.AddrPort, error) {
	for p.at == p.n {
		if err := p.fill(); err != nil {
			return nil, netip.AddrPort{}, err
		}
	}
	i := p.at
	p.at++
	return p.memory[i*datagram:][:p.headers[i].sent], p.from(i), nil
}

// from is where a packet came from.
func (p *port) from(i int) netip.AddrPort {
	name := &p.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
}

// fill waits and reads. It may find nothing.
func (p *port) fill() error {
	switch {
	case p.n == readSize: // there may be more
	case p.vain >= vainLooks:
		if err := p.wait(); err != nil {
			return err
		}
	case p.soon > 0:
		p.soon--
		p.rest(soonTime)
	case p.received:
		p.rest(lookTime)
	}
	p.n, p.at = 0, 0
	for i := range p.headers {
		p.headers[i].Namelen = unix.SizeofSockaddrInet6
	}
	n, errno := uintptr(0), unix.EBADF
	p.use(func(fd uintptr) {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.headers[0])), readSize, unix.MSG_DONTWAIT, 0, 0)
	})
	switch errno {
	case 0:
		p.n, p.vain, p.received = int(n), 0, true
		return nil
	case unix.EBADF:
		return net.ErrClosed
	case unix.EAGAIN:
		p.vain++
	}
	return nil // what else there is tells of a packet that was sent and did not arrive
}

// rest lets some time pass. No packet and no end of the socket is waited for: who closes it waits no longer than this.
func (p *port) rest(d time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	<-p.timer.C
}

// wait waits for the next packet.
func (p *port) wait() error {
	raw, err := p.watch.SyscallConn()
	if err != nil {
		return net.ErrClosed
	}
	p.vain = 0
	var event [1]unix.EpollEvent
	asked := false
	err = raw.Read(func(e uintptr) bool {
		if !asked {
			p.use(func(fd uintptr) {
				_ = unix.EpollCtl(int(e), unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
			})
			asked = true
		}
		n, _ := unix.EpollWait(int(e), event[:], 0)
		return n > 0
	})
	if err != nil {
		return net.ErrClosed
	}
	return nil
}

func (p *port) close() {
	p.mu.Lock()
	fd := p.fd
	p.fd = -1
	p.mu.Unlock()
	if fd >= 0 { // to close the watch waits for the reader, which may be about to take mu
		_ = p.watch.Close()
		_ = unix.Close(fd)
	}
}
