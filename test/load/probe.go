package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/link"
	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
)

// probeHost is where a probe runs.
const probeHost = "probe"

// probe is one more child of a node: it gets all layers of the teacher's camera over a link, as an edge below would, and
// notes every packet. What it misses, its parent has not had either, for the way between the two loses nothing.
type probe struct {
	// Set by newProbe, never changed.
	endpoint *link.Endpoint
	links    *link.Links
	hub      *relay.Hub

	mu sync.Mutex
	// Guarded by mu.
	layers [media.MaxLayers]arrivals
	since  time.Time // of the last mark
}

// arrivals are what came of one layer.
type arrivals struct {
	came map[uint64]bool
	from uint64 // the newest number at the last mark
	last uint64 // the newest number
	at   time.Time
	gap  time.Duration // the longest time between two packets since the last mark
}

// below is a router for a node that hangs on one other.
type below struct {
	node    string
	epoch   uint64
	changed chan struct{} // never closed
}

func (r below) Next(media.TrackID, []string) (link.Hop, error) {
	return link.Hop{Node: r.node, Epoch: r.epoch}, nil
}
func (r below) Changed() <-chan struct{} { return r.changed }
func (r below) Epoch(string) uint64      { return r.epoch }

// newProbe makes a probe below a node, on a host of its own.
func (l *lab) newProbe(ctx context.Context, node string, epoch uint64) (*probe, error) {
	if err := run(ctx, l.binary, "pki", "issue", l.file("pki"), probeHost); err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(l.dir, "pki", name) }
	id, err := pki.LoadIdentity(in("ca.pem"), in(probeHost+".pem"), in(probeHost+".key"))
	if err != nil {
		return nil, err
	}
	h := l.hosts[probeHost]
	listen := func() (conn net.PacketConn, err error) {
		err = h.inside(func() error {
			conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.port.addr, 0)))
			return err
		})
		return conn, err
	}
	conn, err := listen()
	if err != nil {
		return nil, fmt.Errorf("open a socket for the probe: %w", err)
	}
	p := &probe{since: time.Now()}
	for i := range p.layers {
		p.layers[i].came = map[uint64]bool{}
	}
	p.endpoint, err = link.NewEndpoint(link.EndpointConfig{
		Conn: conn, Listen: listen, Identity: id, Resolve: func(string) (string, bool) { return l.at(node, portMesh), true },
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p.links = link.NewLinks(link.LinksConfig{
		Endpoint: p.endpoint, Router: below{node, epoch, make(chan struct{})}, Node: probeHost, Boot: uint64(time.Now().UnixMilli()),
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	p.hub = relay.NewHub(relay.Config{Feeder: p.links})
	return p, nil
}

// run notes what comes until ctx is done.
func (p *probe) run(ctx context.Context) error {
	t, release := p.hub.Acquire(media.TrackID{Room: room, Name: media.Camera})
	defer release()
	return together(ctx, p.endpoint.Run, p.hub.Run,
		func(ctx context.Context) error { return p.links.Run(ctx, p.hub) },
		func(ctx context.Context) error {
			r := t.NewReader()
			defer r.Close()
			r.Want(media.AllLayers)
			var pk media.Packet
			for {
				for r.Next(&pk) {
					p.note(&pk, time.Now())
				}
				select {
				case <-r.Wait():
				case <-ctx.Done():
					return nil
				}
			}
		})
}

func (p *probe) note(pk *media.Packet, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.layers[pk.Layer]
	a.came[pk.Number] = true
	if !a.at.IsZero() {
		a.gap = max(a.gap, now.Sub(a.at))
	}
	a.last, a.at = max(a.last, pk.Number), now
}

// mark begins to measure anew.
func (p *probe) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.layers {
		a := &p.layers[i]
		a.from, a.gap = a.last, 0
	}
	p.since = time.Now()
}

// outcome is what a probe has measured since the last mark.
type outcome struct {
	layers, packets, missing int
	gap                      time.Duration // the longest time without a packet of some layer
	stands                   time.Duration // how long nothing has come of some layer now
}

func (p *probe) outcome() (o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i := range p.layers {
		a := &p.layers[i]
		if a.last == 0 {
			continue
		}
		o.layers++
		o.gap, o.stands = max(o.gap, a.gap, now.Sub(a.at)), max(o.stands, now.Sub(a.at))
		for n := a.from + 1; n <= a.last; n++ {
			if o.packets++; !a.came[n] {
				o.missing++
			}
		}
	}
	return o
}
