package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lyceum/mesh/link"
	"lyceum/mesh/media"
	"lyceum/mesh/pki"
	"lyceum/mesh/relay"
)

// The nodes of a link that is measured.
const (
	parentID = "parent"
	childID  = "child"
	cluster  = "laboratory"
)

// node is one end of a link: what carries tracks in a whole node, and nothing else.
type node struct {
	// Set by newNode, never changed.
	id       string
	conn     *net.UDPConn
	endpoint *link.Endpoint
	links    *link.Links
	hub      *relay.Hub
	registry *prometheus.Registry
}

// fixed is a router for a network of two nodes: all rooms live at the parent.
type fixed struct {
	self    bool
	changed chan struct{} // never closed
}

func (r fixed) Next(media.TrackID, []string) (link.Hop, error) {
	return link.Hop{Self: r.self, Node: parentID, Epoch: 1}, nil
}
func (r fixed) Changed() <-chan struct{} { return r.changed }
func (r fixed) Epoch(string) uint64      { return 1 }

// identities makes the certificates of the parent and of the child.
func identities() (parent, child *pki.Identity, err error) {
	a, err := pki.NewAuthority(cluster, time.Hour)
	if err != nil {
		return nil, nil, err
	}
	ca, _ := a.PEM()
	issue := func(id string) *pki.Identity {
		cert, key, e := a.Issue(id, time.Hour)
		if e != nil {
			err = errors.Join(err, e)
			return nil
		}
		i, e := pki.ParseIdentity(ca, cert, key)
		err = errors.Join(err, e)
		return i
	}
	return issue(parentID), issue(childID), err
}

// newNode makes a node on loopback. A child finds its parent at the given address.
func newNode(id *pki.Identity, parent string, stripes int, log *slog.Logger) (*node, error) {
	conn, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	n := &node{id: id.Node(), conn: conn, registry: prometheus.NewRegistry()}
	n.endpoint, err = link.NewEndpoint(link.EndpointConfig{
		Conn:       conn,
		Listen:     func() (net.PacketConn, error) { return listenLoopback() },
		Identity:   id,
		Resolve:    func(string) (string, bool) { return parent, parent != "" },
		Registerer: n.registry,
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	cfg := link.LinksConfig{
		Endpoint: n.endpoint, Router: fixed{self: parent == "", changed: make(chan struct{})}, Node: n.id,
		Boot: uint64(time.Now().UnixMilli()), Stripes: stripes, Registerer: n.registry, Logger: log.With("at", n.id),
	}
	if err := cfg.Validate(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	n.links = link.NewLinks(cfg)
	n.hub = relay.NewHub(relay.Config{Feeder: n.links})
	return n, nil
}

// run runs the node until ctx is done.
func (n *node) run(ctx context.Context) error {
	return together(ctx, n.endpoint.Run, n.hub.Run, func(ctx context.Context) error { return n.links.Run(ctx, n.hub) })
}

// together runs tasks until ctx is done or one fails, and waits for all.
func together(ctx context.Context, tasks ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(tasks))
	var wg sync.WaitGroup
	for i, task := range tasks {
		wg.Go(func() {
			if errs[i] = task(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// count adds up one of the node's counters over all its labels.
func (n *node) count(sum *float64, name string) error {
	families, err := n.registry.Gather()
	if err != nil {
		return fmt.Errorf("read the counters of %s: %w", n.id, err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				*sum += m.GetCounter().GetValue()
			}
		}
	}
	return nil
}
