package fan

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/ice/v4"
)

// line is a student's own way to the server, as pion's mux takes it: it counts media and keeps most of it to itself.
type line interface {
	net.PacketConn
	ice.AddrPortReaderWriter
}

// network gives each student a line.
type network interface {
	// line makes the line of the next student.
	line(e *ear) (line, error)
	// dropped is how many packets the network itself has lost so far, before anybody could count them; -1 when it is
	// not known.
	dropped() (int64, error)
	close()
}

// socketNetwork gives each student a UDP socket on loopback. The kernel charges the way into it to whoever sends.
type socketNetwork struct{}

type socketLine struct {
	*net.UDPConn
	ear *ear
}

func (socketNetwork) line(e *ear) (line, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open a student's socket: %w", err)
	}
	_ = c.SetReadBuffer(1 << 20) // the kernel grants what it may
	return &socketLine{c, e}, nil
}

func (socketNetwork) dropped() (int64, error) { return -1, nil }
func (socketNetwork) close()                  {}

// ReadFromAddrPort returns the next packet that the PeerConnection is to have.
func (l *socketLine) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := l.ReadFromUDPAddrPort(b)
		if err != nil || l.ear.hear(b[:n]) {
			return n, from, err
		}
	}
}

// WriteToAddrPort sends a packet.
func (l *socketLine) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return l.WriteToUDPAddrPort(b, to)
}
