package fan

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
)

// stun is a packet that no ear listens to.
func stun(i int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, uint32(i))
}

func TestNoPacketIsOverlooked(t *testing.T) {
	r := newRoom(t, 1, false)
	if !r.conn.port.reading {
		t.Fatal("the socket is watched")
	}
	to := r.conn.LocalAddr()
	buf := make([]byte, 2000)
	sent := 0
	// One by one, more at once than a call reads, and again after so many looks in vain that the next packet is waited for.
	for _, burst := range []int{1, 1, 3*readSize + 5, 1, readSize, 2} {
		for i := range burst {
			if _, err := r.students[0].WriteTo(stun(sent+i), to); err != nil {
				t.Fatal(err)
			}
		}
		for range burst {
			n, from, err := r.conn.ReadFromAddrPort(buf)
			if err != nil || from != addrOf(r.students[0]) || n != 12 || binary.BigEndian.Uint32(buf[8:]) != uint32(sent) {
				t.Fatalf("packet %d: % x from %s, %v", sent, buf[:n], from, err)
			}
			sent++
		}
		r.conn.port.vain = vainLooks
	}
}

func TestAReaderThatWaitsEndsWithTheSocket(t *testing.T) {
	for name, vain := range map[string]int{"between two looks": 0, "for the next packet": vainLooks} {
		r := newRoom(t, 1, false)
		r.conn.port.vain = vain
		ended := make(chan error, 1)
		go func() {
			_, _, err := r.conn.ReadFromAddrPort(make([]byte, 2000))
			ended <- err
		}()
		if err := r.conn.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the reader still waits", name)
		}
	}
}
