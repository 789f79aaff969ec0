package fan

import (
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// egress is a second socket at a socket's own address, to send by. Go's poller does not know it: a socket that is watched
// wakes the poller each time that the network has taken packets from it, which cost an eighth of the whole (measured: 3.76 to
// 3.30 us a packet for 200 students at 2.5 Mbps).
type egress struct {
	mu sync.RWMutex // held while the descriptor is used, so that it is not closed meanwhile
	fd int          // -1 for none
}

// open opens it beside a socket that is bound to at. It is connected to its own address, so that no packet of anybody comes to
// it; an address that stands for all cannot be used so, because to connect would choose one of them.
func (e *egress) open(main int, at *net.UDPAddr, family int) error {
	if at.IP.IsUnspecified() || at.Zone != "" {
		return nil
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	var addr unix.Sockaddr
	if family == unix.AF_INET6 {
		addr = &unix.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP.To16())}
	} else {
		addr = &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
	}
	if err := share(main, fd, addr); err != nil {
		_ = unix.Close(fd)
		return err
	}
	if size, err := unix.GetsockoptInt(main, unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size/2) // the kernel doubles it, and grants what it may
	}
	e.fd = fd
	return nil
}

// share binds a socket to the address of another one. Two sockets have one address if both allow it at that moment; afterwards
// nobody else is let in.
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
	if err := unix.Connect(fd, addr); err != nil {
		_ = allow(0)
		return fmt.Errorf("keep what comes from the second socket: %w", err)
	}
	return allow(0)
}

// use calls f with the descriptor, if there is one.
func (e *egress) use(f func(fd uintptr)) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.fd < 0 {
		return false
	}
	f(uintptr(e.fd))
	return true
}

func (e *egress) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fd >= 0 {
		_ = unix.Close(e.fd)
		e.fd = -1
	}
}
