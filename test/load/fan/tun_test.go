//go:build linux

package fan

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// udp is an IPv4 packet from the server to a student.
func udp(to netip.AddrPort, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 98, 0, 1}
	b = append(b, to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, 7000)
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

func TestTUNGivesEachStudentTheirPackets(t *testing.T) {
	n := &tunNetwork{}
	n.lines.Store(&[]*tunLine{})
	var ears [300]ear
	var lines [300]*tunLine
	for i := range ears {
		l, err := n.line(&ears[i])
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = l.(*tunLine)
	}
	stun := append([]byte{0, 1}, make([]byte, 18)...)
	n.take(udp(lines[299].local, stun))
	n.take(udp(netip.AddrPortFrom(netip.MustParseAddr("10.98.0.1"), studentPort), stun)) // nobody's
	n.take(udp(netip.AddrPortFrom(netip.MustParseAddr("10.98.200.1"), studentPort), stun))
	n.take(udp(netip.AddrPortFrom(lines[0].local.Addr(), 9), stun))
	n.take([]byte{0x60, 0, 0, 0})
	n.take(nil)
	for i, l := range lines {
		if got, want := len(l.in), map[bool]int{true: 1, false: 0}[i == 299]; got != want {
			t.Errorf("student %d got %d packets", i, got)
		}
	}
	buf := make([]byte, 100)
	size, from, err := lines[299].ReadFromAddrPort(buf)
	if err != nil || !bytes.Equal(buf[:size], stun) || from.String() != "10.98.0.1:7000" {
		t.Errorf("%x from %s, %v", buf[:size], from, err)
	}
}

func TestTUNCutsTrainsUp(t *testing.T) {
	n := &tunNetwork{vnet: true}
	n.lines.Store(&[]*tunLine{})
	var e ear
	l, err := n.line(&e)
	if err != nil {
		t.Fatal(err)
	}
	var train []byte
	for sequence := range uint16(5) {
		size := 100
		if sequence == 4 {
			size = 60 // the last may be shorter
		}
		packet := make([]byte, size)
		packet[0], packet[1] = 0x80, pictureType
		binary.BigEndian.PutUint16(packet[2:], sequence)
		train = append(train, packet...)
	}
	head := make([]byte, vnetHeader)
	head[1] = vnetUDP
	binary.NativeEndian.PutUint16(head[4:], 100)
	n.take(append(head, udp(l.(*tunLine).local, train)...))
	if e.picture.packets != 5 || e.picture.expected() != 5 || e.bytes != 460 {
		t.Errorf("%d packets of %d, %d bytes", e.picture.packets, e.picture.expected(), e.bytes)
	}
}

func TestChecksum(t *testing.T) {
	// A header of 115 bytes of UDP from 192.168.0.1 to 192.168.0.199.
	b := []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}
	if got := checksum(b); got != 0xb861 {
		t.Errorf("%#x", got)
	}
}
