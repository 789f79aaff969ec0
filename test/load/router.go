package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
)

// pair is a direction between two hosts.
type pair struct{ from, to string }

// router is the wire between hosts that each have a TUN device: it takes the IPv4 packets of one and gives them to the
// other as the path between the two has it.
type router struct {
	// Set by newRouter, never changed.
	hosts    map[netip.Addr]*port
	carriers map[pair]*carrier[io.Writer]
}

// port is where a host is plugged in.
type port struct {
	name   string
	addr   netip.Addr
	device io.ReadWriteCloser
}

// newRouter joins ports; path says what lies between two of them.
func newRouter(ports []*port, path func(from, to string) Path) *router {
	r := &router{hosts: map[netip.Addr]*port{}, carriers: map[pair]*carrier[io.Writer]{}}
	for i, from := range ports {
		r.hosts[from.addr] = from
		for j, to := range ports {
			// An error of a write is a packet lost at a host that is gone.
			r.carriers[pair{from.name, to.name}] = newCarrier(path(from.name, to.name), uint64(i*len(ports)+j),
				func(w io.Writer, b []byte) { _, _ = w.Write(b) })
		}
	}
	return r
}

// run carries packets until ctx is done. It closes the devices.
func (r *router) run(ctx context.Context) error {
	var tasks sync.WaitGroup
	for _, c := range r.carriers {
		tasks.Go(func() { c.run(ctx) })
	}
	tasks.Go(func() {
		<-ctx.Done()
		for _, p := range r.hosts {
			_ = p.device.Close()
		}
	})
	failed := make(chan error, len(r.hosts))
	for _, p := range r.hosts {
		tasks.Go(func() { failed <- r.read(ctx, p) })
	}
	tasks.Wait()
	var err error
	for range r.hosts {
		err = errors.Join(err, <-failed)
	}
	return err
}

// read takes what a host sends.
func (r *router) read(ctx context.Context, p *port) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := p.device.Read(buf)
		switch {
		case ctx.Err() != nil || errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("read the packets of %s: %w", p.name, err)
		}
		to, ok := destination(buf[:n])
		if !ok || n > maxPacket {
			continue
		}
		if q := r.hosts[to]; q != nil {
			r.carriers[pair{p.name, q.name}].send(q.device, buf[:n], n)
		}
	}
}

// destination is where an IPv4 packet goes.
func destination(b []byte) (netip.Addr, bool) {
	if len(b) < 20 || b[0]>>4 != 4 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[16:20])), true
}

// change changes the path between two hosts, both ways.
func (r *router) change(a, b string, f func(p *Path)) error {
	for _, d := range []pair{{a, b}, {b, a}} {
		c := r.carriers[d]
		if c == nil {
			return fmt.Errorf("there is no way from %s to %s", d.from, d.to)
		}
		c.change(f)
	}
	return nil
}
