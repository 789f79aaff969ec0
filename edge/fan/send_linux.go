package fan

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// congested is how long a flush waits for room in the socket's buffer, in all. A buffer of 4 MB that is full for so long
// means that the interface cannot carry what is asked of it.
const congested = 10 * time.Millisecond

// sockaddr is an address as the kernel reads it.
type sockaddr struct {
	bytes [unix.SizeofSockaddrInet6]byte
	size  uint32
}

// outgoing is a queue's messages as sendmmsg reads them.
type outgoing struct {
	submit   func(fd uintptr)
	headers  [maxMessages]header
	vectors  [maxMessages]unix.Iovec
	controls [maxMessages][controlSize]byte
	waited   time.Duration
}

// header is struct mmsghdr.
type header struct {
	unix.Msghdr
	sent uint32
}

// controlSize is enough for the size of a train's segments (cmsg(3): a header and two bytes, aligned).
const controlSize = unix.SizeofCmsghdr + 8

func (o *outgoing) init(q *queue) { o.submit = q.submit }

// learn asks the kernel what kind of socket it is and whether it cuts trains.
func (c *Conn) learn() error {
	c.port.fd = -1
	var domain int
	var err, out error
	control := c.raw.Control(func(fd uintptr) {
		if domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
			return
		}
		_, refused := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		c.trains.Store(refused == nil)
		if at, ok := c.LocalAddr().(*net.UDPAddr); ok {
			out = c.port.open(int(fd), at, domain)
		}
	})
	if control != nil {
		return fmt.Errorf("reach the socket: %w", control)
	}
	if err != nil {
		return fmt.Errorf("ask for the socket's family: %w", err)
	}
	if out != nil {
		c.log.Warn("media is sent and feedback received by the socket that is watched, which costs more", "socket", c.local, "err", out)
	}
	c.wide = domain == unix.AF_INET6
	return nil
}

// sockaddr writes an address in the socket's family.
func (c *Conn) sockaddr(a netip.AddrPort) (s sockaddr) {
	binary.BigEndian.PutUint16(s.bytes[2:], a.Port())
	if c.wide {
		binary.NativeEndian.PutUint16(s.bytes[:], unix.AF_INET6)
		ip := a.Addr().As16()
		copy(s.bytes[8:], ip[:])
		s.size = unix.SizeofSockaddrInet6
		return s
	}
	binary.NativeEndian.PutUint16(s.bytes[:], unix.AF_INET)
	ip := a.Addr().Unmap().As4()
	copy(s.bytes[4:], ip[:])
	s.size = unix.SizeofSockaddrInet4
	return s
}

// send hands all messages to the kernel, beside Go's own poller and without its write lock: several workers and all WebRTC
// connections send at once.
func (q *queue) send() {
	for i := range q.messages {
		q.fill(i, &q.messages[i])
	}
	if q.conn.port.use(q.out.submit) {
		return
	}
	if err := q.conn.raw.Control(q.out.submit); err != nil {
		q.count.failed += q.left(0) // the socket is closed
	}
}

// fill writes message i for the kernel.
func (q *queue) fill(i int, m *message) {
	o := &q.out
	v, h := &o.vectors[i], &o.headers[i].Msghdr
	v.Base = &q.arena[m.from]
	v.SetLen(m.size)
	h.Name, h.Namelen = &m.path.raw.bytes[0], m.path.raw.size
	h.Iov = v
	h.SetIovlen(1)
	h.Control = nil
	h.SetControllen(0)
	if m.packets == 1 {
		return // without the option: some kernels refuse a train of one
	}
	b := &o.controls[i]
	c := (*unix.Cmsghdr)(unsafe.Pointer(b))
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(m.segment))
	h.Control = &b[0]
	h.SetControllen(unix.CmsgSpace(2))
}

// submit sends all messages. The error of a message is told by the call that has it first, so that one address that cannot
// be reached costs its own packets alone.
func (q *queue) submit(fd uintptr) {
	q.out.waited = 0
	for i := 0; i < len(q.messages); {
		n, errno := q.call(fd, i, len(q.messages))
		for ; n > 0; n-- {
			q.count.packets += q.messages[i].packets
			q.count.messages++
			i++
		}
		switch {
		case errno == 0:
		case errno == unix.EAGAIN:
			q.count.full += q.left(i)
			return
		case q.messages[i].packets > 1 && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE):
			q.apart(fd, i, errno)
			i++
		default:
			q.count.failed += q.messages[i].packets
			i++
		}
	}
}

// left is how many packets messages from i on hold.
func (q *queue) left(i int) (packets int) {
	for ; i < len(q.messages); i++ {
		packets += q.messages[i].packets
	}
	return packets
}

// call sends messages from up to to, and waits while the socket's buffer is full. The kernel does not wait, and Go is not told
// of the call: a call of 200 us would have its core taken away and given back, which costs two switches of threads.
func (q *queue) call(fd uintptr, from, to int) (int, unix.Errno) {
	for {
		q.count.calls++
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&q.out.headers[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			return int(n), 0
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && q.out.waited < congested:
			q.count.waits++
			began := time.Now()
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int((congested-q.out.waited)/time.Millisecond)+1)
			q.out.waited += time.Since(began)
		default:
			return 0, errno
		}
	}
}

// apart sends the packets of a train one by one, because the kernel does not take it: EIO comes from an interface that
// cannot checksum, and will come again; the others from a packet that is larger than the way there takes.
func (q *queue) apart(fd uintptr, i int, errno unix.Errno) {
	m := q.messages[i]
	q.count.refused++
	if errno == unix.EIO && q.conn.trains.Swap(false) {
		q.conn.log.Warn("the interface does not take trains of packets; each is sent by itself from now on",
			"socket", q.conn.local, "err", errno)
	}
	for end := m.from + m.size; m.from < end; m.from += m.segment {
		one := message{path: m.path, from: m.from, size: min(m.segment, end-m.from), packets: 1}
		q.messages[i] = one
		q.fill(i, &q.messages[i])
		n, errno := q.call(fd, i, i+1)
		q.count.packets += n
		q.count.messages += n
		switch errno {
		case 0:
		case unix.EAGAIN:
			q.count.full++
		default:
			q.count.failed++
		}
	}
}
