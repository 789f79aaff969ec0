package gossip

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// sockets are memberlist's UDP and TCP, whose dialling ends with them and not only at its timeout.
type sockets struct {
	*memberlist.NetTransport
	ctx    context.Context
	cancel context.CancelFunc
}

// listen opens UDP and TCP on one address. A free port of the one need not be free for the other, hence the attempts.
func listen(bind netip.AddrPort, logger *log.Logger) (*sockets, error) {
	attempts := 1
	if bind.Port() == 0 {
		attempts = 10
	}
	var err error
	for range attempts {
		var t *memberlist.NetTransport
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: logger,
		})
		if err == nil {
			ctx, cancel := context.WithCancel(context.Background())
			return &sockets{NetTransport: t, ctx: ctx, cancel: cancel}, nil
		}
	}
	return nil, fmt.Errorf("cannot listen on %v over UDP and TCP: %w", bind, err)
}

// DialTimeout connects to another node's gossip.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(s.ctx, "tcp", addr)
}

// DialAddressTimeout connects to another node's gossip.
func (s *sockets) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return s.DialTimeout(a.Addr, timeout)
}

// Shutdown closes the sockets and ends all dialling.
func (s *sockets) Shutdown() error {
	s.cancel()
	return s.NetTransport.Shutdown()
}

// abandon shuts down a transport that nobody reads, and takes what its listeners still want to hand over: they would
// wait for ever, and the transport for them.
func abandon(t memberlist.Transport) error {
	done := make(chan error, 1)
	go func() { done <- t.Shutdown() }()
	for {
		select {
		case err := <-done:
			return err
		case <-t.PacketCh():
		case c, ok := <-t.StreamCh():
			if ok {
				_ = c.Close()
			}
		}
	}
}
