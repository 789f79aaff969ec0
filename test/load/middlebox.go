package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

const (
	// socketBuffer is what is asked of the kernel for the sockets of a middlebox, in bytes, so that all loss is the line's.
	socketBuffer = 4 << 20
	// maxFlows bounds the children's sockets that a middlebox serves; those beyond are not heard.
	maxFlows = 256
)

var loopback = netip.MustParseAddr("127.0.0.1")

// listenLoopback opens a UDP socket on loopback.
func listenLoopback() (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket on loopback: %w", err)
	}
	// The kernel grants what it allows; too little shows as loss.
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
	return c, nil
}

// middlebox stands between children and a parent, all on loopback, as a NAT does: a child's packets reach the parent
// from a socket of the middlebox's own. All flows share one line in each direction, so that a rate is a bottleneck that
// the stripes of a link have in common.
type middlebox struct {
	// Set by newMiddlebox, never changed.
	front    *net.UDPConn
	parent   netip.AddrPort
	up, down *carrier[*flow]
	tasks    sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	flows  map[netip.AddrPort]*flow
	closed bool
}

// flow is one socket of a child.
type flow struct {
	child netip.AddrPort
	back  *net.UDPConn // connected to the parent
}

func newMiddlebox(parent netip.AddrPort, p Path, seed uint64) (*middlebox, error) {
	front, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	m := &middlebox{front: front, parent: parent, flows: map[netip.AddrPort]*flow{}}
	// An error of a write is a packet lost in a socket that is closed, as UDP has it.
	m.up = newCarrier(p, seed, func(f *flow, b []byte) { _, _ = f.back.Write(b) })
	m.down = newCarrier(p, seed+1, func(f *flow, b []byte) { _, _ = front.WriteToUDPAddrPort(b, f.child) })
	return m, nil
}

// addr is where the children dial.
func (m *middlebox) addr() string { return m.front.LocalAddr().String() }

// set changes the path in both directions.
func (m *middlebox) set(p Path) {
	m.up.change(func(old *Path) { *old = p })
	m.down.change(func(old *Path) { *old = p })
}

// run carries packets until ctx is done.
func (m *middlebox) run(ctx context.Context) error {
	m.tasks.Go(func() { m.up.run(ctx) })
	m.tasks.Go(func() { m.down.run(ctx) })
	defer m.tasks.Wait()
	defer context.AfterFunc(ctx, m.close)()
	defer m.close()
	buf := make([]byte, maxPacket)
	for {
		n, from, err := m.front.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			continue // the kernel tells that a child's port is closed
		}
		f, err := m.flow(from)
		if err != nil {
			return err
		}
		if f != nil {
			m.up.send(f, buf[:n], n+ipHeaders)
		}
	}
}

func (m *middlebox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	_ = m.front.Close()
	for _, f := range m.flows {
		_ = f.back.Close()
	}
}

// flow returns the flow of a child's socket, nil when there are too many.
func (m *middlebox) flow(child netip.AddrPort) (*flow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flows[child]; f != nil || m.closed || len(m.flows) >= maxFlows {
		return f, nil
	}
	back, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)), net.UDPAddrFromAddrPort(m.parent))
	if err != nil {
		return nil, fmt.Errorf("open a socket towards the parent: %w", err)
	}
	_ = back.SetReadBuffer(socketBuffer)
	_ = back.SetWriteBuffer(socketBuffer)
	f := &flow{child: child, back: back}
	m.flows[child] = f
	m.tasks.Go(func() {
		buf := make([]byte, maxPacket)
		for {
			n, err := back.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				m.down.send(f, buf[:n], n+ipHeaders)
			}
		}
	})
	return f, nil
}
