package fan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// listen opens a UDP socket on loopback.
func listen(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// room is a fan with one socket, and students who listen.
type room struct {
	t        testing.TB
	fan      *Fan
	conn     *Conn
	registry *prometheus.Registry
	students []*net.UDPConn
	paths    []*Path
}

func newRoom(t testing.TB, students int, single bool) *room {
	t.Helper()
	r := &room{t: t, registry: prometheus.NewRegistry()}
	f, err := New(Config{Registerer: r.registry}, listen(t))
	if err != nil {
		t.Fatal(err)
	}
	r.fan, r.conn = f, f.conns[0]
	if single {
		r.conn.trains.Store(false) // as where the kernel cannot cut trains
	}
	for range students {
		s := listen(t)
		p, ok := f.Path(r.conn.local, addrOf(s))
		if !ok {
			t.Fatal("there is no path")
		}
		r.students, r.paths = append(r.students, s), append(r.paths, p)
	}
	return r
}

// counter reads a metric; those with a label are named name/value.
func (r *room) counter(name string) int {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			full := f.GetName()
			for _, l := range m.GetLabel() {
				full += "/" + l.GetValue()
			}
			if full == "lyceum_fan_"+name {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	r.t.Fatalf("no metric %s", name)
	return 0
}

// read returns the next n packets that a student gets.
func (r *room) read(student, n int) [][]byte {
	r.t.Helper()
	var got [][]byte
	buf := make([]byte, 2000)
	for range n {
		_ = r.students[student].SetReadDeadline(time.Now().Add(10 * time.Second))
		size, err := r.students[student].Read(buf)
		if err != nil {
			r.t.Fatalf("student %d after %d packets: %v", student, len(got), err)
		}
		got = append(got, bytes.Clone(buf[:size]))
	}
	return got
}

// packet is something that looks like an RTP packet.
func packet(sequence, size int) []byte {
	b := make([]byte, size)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], uint16(sequence))
	for i := 12; i < size; i++ {
		b[i] = byte(sequence + i)
	}
	return b
}

func TestPacketsOfOneSizeMakeOneTrain(t *testing.T) {
	for _, c := range []struct {
		name   string
		sizes  []int
		single bool
		want   string // the packets of each train
	}{
		{"a frame of equal parts", []int{900, 900, 900, 900}, false, "[4]"},
		{"the last part is shorter", []int{900, 900, 900, 200}, false, "[4]"},
		{"nothing follows a shorter one", []int{900, 200, 200}, false, "[2 1]"},
		{"a larger one begins anew", []int{900, 901, 901}, false, "[1 2]"},
		{"no train is too long", slices.Repeat([]int{900}, 23), false, "[10 10 3]"},
		{"the kernel does not cut", []int{900, 900}, true, "[1 1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, 1, c.single)
			b := r.fan.Take()
			q := b.queue(r.paths[0])
			for i, size := range c.sizes {
				q.add(r.paths[0], copy(q.room(), packet(i, size)))
			}
			var trains []int
			for _, m := range q.messages {
				trains = append(trains, m.packets)
			}
			if fmt.Sprint(trains) != c.want {
				t.Errorf("trains of %v, want %s", trains, c.want)
			}
			b.Done()
			for i, got := range r.read(0, len(c.sizes)) {
				if !bytes.Equal(got, packet(i, c.sizes[i])) {
					t.Errorf("packet %d is not what was sent", i)
				}
			}
			if r.counter("packets_total") != len(c.sizes) || r.counter("trains_total") != len(trains) {
				t.Errorf("%d packets and %d trains are counted", r.counter("packets_total"), r.counter("trains_total"))
			}
		})
	}
}

func TestManyStudentsShareOneCall(t *testing.T) {
	r := newRoom(t, 40, false)
	b := r.fan.Take()
	for s, p := range r.paths {
		for i := range 3 {
			q := b.queue(p)
			q.add(p, copy(q.room(), packet(100*s+i, 1000)))
		}
	}
	b.Done()
	for s := range r.paths {
		for i, got := range r.read(s, 3) {
			if !bytes.Equal(got, packet(100*s+i, 1000)) {
				t.Errorf("student %d: packet %d is not theirs", s, i)
			}
		}
	}
	if n := r.counter("calls_total"); n != 1 {
		t.Errorf("%d system calls", n)
	}
}

func TestMoreThanABatchHoldsIsSentInParts(t *testing.T) {
	r := newRoom(t, 3, false)
	b := r.fan.Take()
	for i := range 400 {
		for _, p := range r.paths {
			q := b.queue(p)
			q.add(p, copy(q.room(), packet(i, 300+i%2)))
		}
	}
	b.Done()
	for s := range r.paths {
		for i, got := range r.read(s, 400) {
			if !bytes.Equal(got, packet(i, 300+i%2)) {
				t.Fatalf("student %d: packet %d is not what was sent", s, i)
			}
		}
	}
}

// From a socket on loopback nothing beyond this machine can be reached; the kernel says so for each message.
func TestAnAddressThatCannotBeReachedHarmsNobodyElse(t *testing.T) {
	r := newRoom(t, 2, false)
	nowhere, ok := r.fan.Path(r.conn.local, netip.MustParseAddrPort("203.0.113.9:9"))
	if !ok {
		t.Fatal("no path")
	}
	b := r.fan.Take()
	for _, p := range []*Path{r.paths[0], nowhere, r.paths[1], nowhere} {
		for i := range 5 {
			q := b.queue(p)
			q.add(p, copy(q.room(), packet(i, 700)))
		}
	}
	b.Done()
	for s := range r.paths {
		r.read(s, 5)
	}
	if n := r.counter("packets_dropped_total/failed"); n != 10 {
		t.Errorf("%d packets are counted as failed, want 10", n)
	}
	if n := r.counter("packets_total"); n != 10 {
		t.Errorf("%d packets are counted as sent, want 10", n)
	}
}

func TestWhatKeepsAConnectionAliveDoesNotWait(t *testing.T) {
	r := newRoom(t, 1, false)
	to := addrOf(r.students[0])
	media := packet(1, 600)
	if _, err := r.conn.WriteToAddrPort(media, to); err != nil {
		t.Fatal(err)
	}
	others := map[string][]byte{
		"STUN": {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0}, "DTLS": append([]byte{22, 254, 253}, make([]byte, 20)...),
		"a byte": {0x80},
	}
	for name, b := range others {
		if _, err := r.conn.WriteToAddrPort(b, to); err != nil {
			t.Fatal(err)
		}
		got := r.read(0, 1)[0]
		if bytes.Equal(got, media) {
			got = r.read(0, 1)[0] // the patience with media has ended meanwhile
		}
		if !bytes.Equal(got, b) {
			t.Errorf("%s did not leave at once", name)
		}
	}
}

func TestGatheredMediaLeavesByItself(t *testing.T) {
	r := newRoom(t, 1, false)
	for i := range 3 {
		if _, err := r.conn.WriteToAddrPort(packet(i, 500), addrOf(r.students[0])); err != nil {
			t.Fatal(err)
		}
		if got := r.read(0, 1)[0]; !bytes.Equal(got, packet(i, 500)) {
			t.Errorf("packet %d is not what was written", i)
		}
	}
}

func TestGatheredMediaLeavesWithTheNextFlush(t *testing.T) {
	r := newRoom(t, 20, false)
	for s, student := range r.students {
		for i := range 4 {
			if _, err := r.conn.WriteToAddrPort(packet(10*s+i, 500), addrOf(student)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.fan.Take().Done()
	for s := range r.students {
		for i, got := range r.read(s, 4) {
			if !bytes.Equal(got, packet(10*s+i, 500)) {
				t.Errorf("student %d: packet %d is not theirs", s, i)
			}
		}
	}
	if n := r.counter("calls_total"); n > 3 {
		t.Errorf("%d system calls", n)
	}
}

func TestAClosedSocketIsCounted(t *testing.T) {
	r := newRoom(t, 1, false)
	_ = r.conn.Close()
	b := r.fan.Take()
	q := b.queue(r.paths[0])
	q.add(r.paths[0], copy(q.room(), packet(1, 100)))
	b.Done()
	if n := r.counter("packets_dropped_total/failed"); n != 1 {
		t.Errorf("%d packets are counted as failed", n)
	}
}

func TestPathsAreFoundByTheLocalAddress(t *testing.T) {
	six, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("no IPv6 here")
	}
	defer six.Close()
	one, two := listen(t), listen(t)
	far4, far6 := netip.MustParseAddrPort("192.0.2.1:9"), netip.MustParseAddrPort("[2001:db8::1]:9")
	public := netip.MustParseAddr("198.51.100.7")
	public4 := netip.AddrPortFrom(public, addrOf(one).Port())
	pair, err := New(Config{}, one, six)
	if err != nil {
		t.Fatal(err)
	}
	three, err := New(Config{}, one, two, six)
	if err != nil {
		t.Fatal(err)
	}
	twins, err := New(Config{}, one, one)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fan           *Fan
		local, remote netip.AddrPort
		want          int
	}{
		"the bound address":               {three, addrOf(two), far4, 1},
		"a public one, one such socket":   {pair, public4, far4, 0},
		"a public one, one IPv6 socket":   {three, netip.AddrPortFrom(public, addrOf(six).Port()), far6, 2},
		"a public one, two such sockets":  {twins, netip.AddrPortFrom(public, addrOf(one).Port()), far4, -1},
		"another port":                    {pair, netip.AddrPortFrom(public, 1), far4, -1},
		"an address of a link":            {pair, addrOf(one), netip.MustParseAddrPort("[fe80::1%lo]:9"), -1},
		"an address that is none":         {pair, addrOf(one), netip.AddrPort{}, -1},
		"a bound address without a match": {three, netip.AddrPort{}, far4, -1},
	} {
		p, ok := c.fan.Path(c.local, c.remote)
		if got := slices.IndexFunc(c.fan.conns, func(o *Conn) bool { return ok && o == p.conn }); got != c.want {
			t.Errorf("%s: socket %d, want %d", name, got, c.want)
		}
	}
}

func TestABatchIsUsedAgain(t *testing.T) {
	r := newRoom(t, 1, false)
	fill := func() {
		b := r.fan.Take()
		q := b.queue(r.paths[0])
		for i := range 12 {
			q.add(r.paths[0], copy(q.room(), packet(i, 1000)))
		}
		b.Done()
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// The second socket shares the address: nothing that students send may come to it.
func TestWhatStudentsSendIsReceived(t *testing.T) {
	r := newRoom(t, 30, false)
	for i, s := range r.students {
		if _, err := s.WriteToUDPAddrPort(packet(i, 100), r.conn.local); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2000)
	for i := range r.students {
		_ = r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, _, err := r.conn.ReadFromAddrPort(buf); err != nil {
			t.Fatalf("after %d packets: %v", i, err)
		}
	}
	if other, err := net.ListenUDP("udp4", r.conn.LocalAddr().(*net.UDPAddr)); err == nil {
		_ = other.Close()
		t.Error("another socket can take the address")
	}
	_ = r.conn.Close()
	other, err := net.ListenUDP("udp4", r.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatalf("the address is not free after Close: %v", err)
	}
	_ = other.Close()
}
