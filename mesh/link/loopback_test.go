package link

import (
	"net"
	"sync"
	"testing"
	"time"

	"lyceum/mesh/pki"
)

// TestRealSockets carries a track between two nodes on the loopback interface, with everything that a kernel does.
func TestRealSockets(t *testing.T) {
	a, err := pki.NewAuthority("demo", 0)
	if err != nil {
		t.Fatal(err)
	}
	listen := func() (net.PacketConn, error) { return net.ListenPacket("udp4", "127.0.0.1:0") }
	var mu sync.Mutex
	addrs := map[string]string{}
	resolve := func(id string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		addr, ok := addrs[id]
		return addr, ok
	}
	open := func(id, next string) *node {
		conn, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		addrs[id] = conn.LocalAddr().String()
		mu.Unlock()
		return start(t, a, id, next, 1, conn, listen, resolve, nil)
	}
	home, edge := open("h", ""), open("e", "h")
	p := home.publish(camera, 2)
	v := edge.watch(camera, 0, 1)
	from := p.number
	p.write(1, 100, true)
	deadline := time.Now().Add(10 * time.Second)
	arrived := func() bool {
		return v.missing(t, 0, from[0], p.number[0])+v.missing(t, 1, from[1], p.number[1]) == 0
	}
	for !arrived() && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	p.play(2*time.Second, 8)
	for !arrived() && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if !arrived() {
		t.Error("packets are missing")
	}
	reportDelays(t, v)
}
